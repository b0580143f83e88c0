import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createTestHome, type TestHome } from '../../../testing/cli.ts';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeEntries } from '../../../testing/peer.ts';
import { peerIds } from '../../../testing/peer-ids.ts';
import { openDatabase } from '../history/database.ts';
import type { Entry } from '../history/entry.ts';
import { createStore } from '../history/store.ts';

afterEach(cleanUp);

/** An escape sequence, a C1 control, bidi and zero-width characters, a tag, line separators, and a line of our own. */
const EVIL =
  '\u001B]0;x\u0007\u009B2J\u202E\u2066\u200B\uFEFF\u{E0041}\u2028\r\n0 of 0 relays work\u0085\b\u007F';

const UNSAFE = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/u;

let device: TestHome;

/** Runs a command on a terminal without colors. Returns its whole output, of which nothing may be unsafe. */
async function run(...args: readonly string[]): Promise<{ stdout: string; all: string }> {
  const { stdout, stderr } = await device.run(args, { NO_COLOR: '1' }, true);
  // How this program erases its own line of progress.
  const all = `${stdout}${stderr.replaceAll('\r\u001B[2K', '')}`;
  expect(all.match(UNSAFE)?.[0]).toBeUndefined();
  for (const line of all.split('\n')) expect(line).not.toMatch(/^0 of 0 relays work/);
  return { stdout, all };
}

const runJson = async (...args: readonly string[]): Promise<unknown[]> =>
  (await run(...args, '--json')).stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);

/** A tracker that answers each request with this status and body. */
async function startTracker(status: number, body: unknown): Promise<string> {
  const server = createServer((_, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  onCleanup(async () => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

beforeEach(async () => {
  device = createTestHome();
  await device.run(['init', '--user-id', 'ada', '--device-id', 'laptop']);
});

describe('text of a tracker never reaches a terminal raw', () => {
  test('from its list', async () => {
    const [peerId = ''] = peerIds(1);
    const meta = { user_id: 'ada', device_id: `desktop${EVIL}`, hostname: `host${EVIL}` };
    const addrs = [`/dns4/${EVIL}/tcp/1/p2p/${peerId}`, EVIL];
    const listed = { peer_id: peerId, addrs, meta, last_seen_unix: Math.floor(Date.now() / 1000) };
    const tracker = await startTracker(200, { ok: true, peers: [listed, { ...listed, peer_id: EVIL }] });
    const options = ['--trackers', tracker];
    expect((await run('peers', ...options)).all).toContain('desktop');
    await run('sync', ...options);
    await run('sync-status', ...options);
    await run('doctor', ...options);
    expect(JSON.stringify(await runJson('peers', ...options))).toContain(JSON.stringify(meta.device_id));
    await runJson('sync', ...options);
    await runJson('sync-status', ...options);
    await runJson('doctor', ...options);
  });

  test.each([400, 401, 500])('from a refusal with status %i', async (status) => {
    const problem = { type: EVIL, title: EVIL, status, code: EVIL, detail: `no${EVIL}` };
    const options = ['--trackers', await startTracker(status, problem)];
    for (const command of ['peers', 'sync', 'doctor'])
      expect((await run(command, ...options)).all).toContain('no\uFFFD]0;x');
    await runJson('doctor', ...options);
    const relay = '/ip4/127.0.0.1/tcp/9';
    await run('network-test', '--relays', relay, ...options);
  });
});

test('a long message of a tracker does not fill the terminal', async () => {
  const problem = { type: 'x', title: 'x', status: 400, code: 'x', detail: 'no '.repeat(1_000_000) };
  expect((await run('peers', '--trackers', await startTracker(400, problem))).all.length).toBeLessThan(2_000);
});

describe('text of other devices never reaches a terminal raw', () => {
  test('from entries', async () => {
    const entry = {
      cmd: `ls\t${EVIL}`,
      device_id: `d${EVIL}`,
      hostname: EVIL,
      shell: EVIL,
      entry_id: `e${EVIL}`,
    };
    const database = openDatabase(join(device.home, '.rustory', 'history.db'));
    const [first, second] = makeEntries(2) as [Entry, Entry];
    createStore(database).insert([{ ...first, ...entry }, second]);
    database.close();
    const { stdout } = await run('entries', '--ids');
    expect(stdout.trim().split('\n')).toHaveLength(2);
    expect(await runJson('entries')).toMatchObject([entry, {}]);
    expect((await run('delete', '--cmd', entry.cmd)).stdout).toContain('ls ');
    expect(await runJson('delete', '--cmd', entry.cmd)).toMatchObject([{ entry_ids: [entry.entry_id] }]);
    await run('delete', '--cmd', EVIL);
    await run('delete', EVIL);
  });
});

test('only screen.ts writes to the terminal', () => {
  const directory = import.meta.dirname;
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && name !== 'screen.ts',
  );
  expect(files.length).toBeGreaterThan(20);
  const writing = files.filter((name) =>
    /\b(?:stdout|stderr)\.write\(|console\.|JSON\.stringify\(.*\)\);?$/m.test(
      readFileSync(join(directory, name), 'utf8'),
    ),
  );
  expect(writing).toEqual([]);
});
