import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { ConfigError } from '../shared/errors.ts';
import { createLogger } from '../shared/log.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { until } from '../../testing/wait.ts';
import { createTokens, readTokens } from './tokens.ts';

/** Much shorter than the default, so that the tests do not wait for it. */
const RELOAD_TIMES = { intervalMs: 20, settleMs: 40 };

const log = createLogger('test', 'silent');
const directory = mkdtempSync(join(tmpdir(), 'rustory-tokens-'));
let count = 0;

afterEach(cleanUp);
afterAll(() => rmSync(directory, { recursive: true }));

function file(text: string): string {
  count += 1;
  const path = join(directory, `tokens-${count}`);
  writeFileSync(path, text);
  return path;
}

function problems(path: string): readonly string[] {
  try {
    readTokens(path);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('a file of tokens', () => {
  test('has one token per line, each with its permissions', () => {
    const tokens = readTokens(
      file('# rotation 2026-11\nfirst-token\r\n\n  second-token  user=alice\nthird read-only user=a%20b\n'),
    );
    expect(tokens.find('first-token')).toMatchObject({ userId: undefined, readOnly: false, isHub: false });
    expect(tokens.find('second-token')).toMatchObject({ userId: 'alice', readOnly: false, isHub: false });
    expect(tokens.find('third')).toMatchObject({ userId: 'a b', readOnly: true, isHub: false });
  });

  test('marks the tokens of hubs, with and without a user, in any order of the words', () => {
    const tokens = readTokens(
      file('any-hub hub\nalices-hub user=alice hub\nbobs-hub hub user=bob\nhub user=hub\n'),
    );
    expect(tokens.hasHub).toBe(true);
    expect(tokens.find('any-hub')).toMatchObject({ userId: undefined, readOnly: false, isHub: true });
    expect(tokens.find('alices-hub')).toMatchObject({ userId: 'alice', readOnly: false, isHub: true });
    expect(tokens.find('bobs-hub')).toMatchObject({ userId: 'bob', readOnly: false, isHub: true });
    expect(tokens.find('hub')).toMatchObject({ userId: 'hub', readOnly: false, isHub: false });
  });

  test.each(['', 'first', 'first-token ', 'FIRST-TOKEN', '#', 'user=alice', '__proto__', 'x'.repeat(10_000)])(
    'does not contain %j',
    (token) => expect(readTokens(file('first-token user=alice\n')).find(token)).toBeUndefined(),
  );

  test.each([
    ['an unknown attribute', 'secret-token admin\n', 'line 1'],
    ['quotes', 'good\n"secret-token"\n', 'line 2'],
    ['letters that are not ASCII', 'secret-tökén\n', 'line 1'],
    ['an empty user', 'secret-token user=\n', 'line 1'],
    ['a hub that only reads', 'good\nsecret-token hub read-only\n', 'line 2'],
    ['a hub of a user that only reads', 'secret-token read-only user=alice hub\n', 'line 1'],
    ['another spelling of the mark', 'secret-token Hub\n', 'line 1'],
    ['a user that is not percent-encoded', 'secret-token user=%zz\n', 'line 1'],
  ])('with %s is rejected with the line, without the token', (_, text, line) => {
    const found = problems(file(text)).join('\n');
    expect(found).toContain(line);
    expect(found).toMatch(/^TRACKER_TOKENS_FILE: .*\.$/);
    expect(found).not.toContain('secret');
  });

  test('in a directory is rejected with its file and the line in it', () => {
    const folder = mkdtempSync(join(directory, 'tokens-'));
    writeFileSync(join(folder, 'a'), 'first-token\nsecond-token\n');
    writeFileSync(join(folder, 'b'), '\nsecret-token admin\n');
    expect(problems(folder)).toEqual([
      expect.stringContaining(`TRACKER_TOKENS_FILE: ${join(folder, 'b')}: line 2: `),
    ]);
  });

  test.each([
    ['is empty', () => file('\n# nothing\n'), 'The file contains no tokens'],
    ['is missing', () => join(directory, 'missing'), 'no such file'],
    ['is too large', () => file('x'.repeat(2_000_000)), 'larger than'],
  ])('that %s is rejected', (_, path, reason) => {
    expect(problems(path()).join()).toContain(reason);
  });

  test('is read again when it changes, and its previous tokens stay valid while it cannot be used', async () => {
    const path = file('old-token\n');
    const lines: string[] = [];
    const tokens = createTokens(
      readTokens(path),
      pino({}, { write: (line) => lines.push(line) }),
      RELOAD_TIMES,
    );
    await tokens.start();
    writeFileSync(path, 'new-token\n');
    await until(() => tokens.find('new-token') !== undefined, 'the new token is valid');
    expect(tokens.find('old-token')).toBeUndefined();
    writeFileSync(path, 'new-token superuser\n');
    await until(() => lines.some((line) => line.includes('tokens not read again')), 'the mistake is logged');
    expect(tokens.find('new-token')).toBeDefined();
    writeFileSync(path, '');
    await until(() => tokens.find('new-token') === undefined, 'the empty file permits no token');
    expect(lines.join()).not.toContain('new-token');
    await tokens.stop();
  });
});

test('a star is warned of when no token is marked as that of a hub, at the start and after each change', async () => {
  const path = file('a-token-of-alice user=alice\n');
  expect(readTokens(path).warnings).toEqual([]);
  const table = readTokens(path, true);
  expect(table.warnings.join()).toContain('write hub after the token');
  const lines: string[] = [];
  const tokens = createTokens(table, pino({}, { write: (line) => lines.push(line) }), RELOAD_TIMES);
  await tokens.start();
  writeFileSync(path, 'a-token-of-alice user=alice hub\n');
  await until(() => tokens.find('a-token-of-alice')?.isHub === true, 'the mark is read');
  expect(lines.join()).not.toContain('TRACKER_STAR');
  writeFileSync(path, 'a-token-of-alice user=alice\n');
  await until(() => lines.join().includes('TRACKER_STAR'), 'the missing mark is logged');
  await tokens.stop();
});

describe('a file of tokens that is written in steps', () => {
  const alicesToken = 'a-token-of-alice';
  const whole = `${alicesToken} user=alice read-only`;

  test.each([alicesToken, `${alicesToken} user=ali`, `${alicesToken} user=alice`, '', `${alicesToken} us`])(
    'never grants what a part of it says (%j)',
    async (part) => {
      const path = file(`${whole}\n`);
      let clockMs = 0;
      let changes = 0;
      const tokens = createTokens(readTokens(path), log, { intervalMs: 5, settleMs: 2_000 }, () => {
        changes += 1;
        return clockMs;
      });
      await tokens.start();
      onCleanup(() => tokens.stop());
      for (let turn = 1; turn <= 3; turn += 1) {
        for (const text of [part, `${whole}${'\n'.repeat(turn + 1)}`]) {
          writeFileSync(path, text);
          const before = changes;
          await until(() => changes > before + 1, 'the new content is read twice');
          expect(tokens.find(alicesToken)).toMatchObject({ userId: 'alice', readOnly: true, isHub: false });
          clockMs += 1_999;
        }
      }
    },
  );

  test('is used when it stays as it is, also without a newline at the end', async () => {
    const path = file(`${whole}\n`);
    const tokens = createTokens(readTokens(path), log, RELOAD_TIMES);
    await tokens.start();
    onCleanup(() => tokens.stop());
    writeFileSync(path, `another-token-of-alice\n${alicesToken}`);
    await until(() => tokens.find(alicesToken)?.readOnly === false, 'the new permissions are used');
    expect(tokens.find(alicesToken)).toMatchObject({ userId: undefined });
  });
});

test('a mistake in a file of tokens is logged once', async () => {
  const lines: string[] = [];
  const path = file('a-token-of-alice\n');
  const times = { intervalMs: 5, settleMs: 10 };
  const tokens = createTokens(readTokens(path), pino({}, { write: (line) => lines.push(line) }), times);
  await tokens.start();
  writeFileSync(path, 'a-token-of-alice admin\n');
  await until(() => lines.length > 0, 'the mistake is logged');
  writeFileSync(path, 'a-token-of-bob\n');
  await until(() => tokens.find('a-token-of-bob') !== undefined, 'the correction is used');
  expect(lines.filter((line) => line.includes('not read again'))).toHaveLength(1);
  await tokens.stop();
});

test('short tokens cause a warning that does not repeat them', () => {
  const { warnings } = readTokens(file('short\na-token-of-enough-characters\n'));
  expect(warnings).toEqual([expect.stringMatching(/^TRACKER_TOKENS_FILE: 1 .*\.$/)]);
  expect(warnings.join()).not.toContain('short ');
});

test('tokens on several lines with different permissions cause a warning, and the last line counts', () => {
  const line = 'a-token-of-enough-characters user=alice';
  expect(readTokens(file(`${line}\n${line}\n`)).warnings).toEqual([]);
  const table = readTokens(file(`${line} hub\n${line}\n`));
  expect(table.warnings).toEqual([
    expect.stringMatching(/^TRACKER_TOKENS_FILE: 1 tokens are on several lines/),
  ]);
  expect(table.find('a-token-of-enough-characters')?.isHub).toBe(false);
});

describe('a directory of tokens', () => {
  test('as Kubernetes mounts a Secret is read, and read again when its link changes', async () => {
    const mount = join(directory, 'mount');
    for (const [version, token] of [
      ['..v1', 'one'],
      ['..v2', 'two'],
    ] as const) {
      mkdirSync(join(mount, version), { recursive: true });
      writeFileSync(join(mount, version, 'laptops'), `${token}-laptops\n`);
      writeFileSync(join(mount, version, 'dashboard'), `${token}-dashboard read-only`);
    }
    symlinkSync('..v1', join(mount, '..data'));
    symlinkSync('..data/laptops', join(mount, 'laptops'));
    symlinkSync('..data/dashboard', join(mount, 'dashboard'));
    const tokens = createTokens(readTokens(mount), log, RELOAD_TIMES);
    expect(tokens.find('one-laptops')).toMatchObject({ userId: undefined, readOnly: false, isHub: false });
    expect(tokens.find('one-dashboard')).toMatchObject({ userId: undefined, readOnly: true, isHub: false });
    expect(tokens.find('two-laptops')).toBeUndefined();
    await tokens.start();
    symlinkSync('..v2', join(mount, '..next'));
    renameSync(join(mount, '..next'), join(mount, '..data'));
    await until(() => tokens.find('two-laptops') !== undefined, 'the new token is valid');
    expect(tokens.find('one-laptops')).toBeUndefined();
    await tokens.stop();
  });
});
