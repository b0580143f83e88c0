import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createTestHome, type TestHome } from '../../../../testing/cli.ts';
import { cleanUp } from '../../../../testing/cleanup.ts';

let device: TestHome;
let file: string;

beforeEach(async () => {
  device = createTestHome();
  file = join(device.home, 'backup.db');
  await run('record', '--cmd', 'ls');
});
afterEach(cleanUp);

const run = async (...args: string[]) => device.run(args);

async function commands(): Promise<string[]> {
  const lines = (await run('entries', '--json')).stdout.trim().split('\n');
  return lines.map((line) => (JSON.parse(line) as { cmd: string }).cmd);
}

describe('backup and restore', () => {
  test('print what is in the copy', async () => {
    expect(await run('backup', file)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/backup\.db: 1 entry, 0 deletions, \d+ kB\n$/),
    });
    await run('record', '--cmd', 'later');
    const restored = await run('restore', file);
    expect(restored).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/history\.db: restored 1 entry, 0 deletions, \d+ kB\n$/),
      stderr: expect.stringMatching(/The old database \(\d+ kB\) is .*history\.db\.replaced-\w+\. Delete it/),
    });
    expect(await commands()).toEqual(['ls']);
  });

  test('print JSON', async () => {
    const made = JSON.parse((await run('backup', file, '--json')).stdout) as object;
    expect(made).toEqual({ path: file, entries: 1, deletions: 0, bytes: statSync(file).size });
    const restored = JSON.parse((await run('restore', file, '--json')).stdout) as { replaced: string };
    expect(restored).toMatchObject({ path: expect.stringMatching(/history\.db$/), entries: 1, deletions: 0 });
    expect(existsSync(restored.replaced)).toBe(true);
  });

  test('refuse a command line without a file, or with a wrong one', async () => {
    expect(await run('backup')).toMatchObject({ code: 2, stderr: expect.stringMatching(/file is missing/) });
    expect(await run('restore')).toMatchObject({ code: 2, stderr: expect.stringMatching(/file is missing/) });
    expect(await run('backup', file, '--temp-dir', '/tmp')).toMatchObject({ code: 2 });
    expect(await device.run(['backup', '-'], {}, true)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/not written to a terminal/),
    });
  });

  test('have an exit code and advice for each failure', async () => {
    writeFileSync(file, 'precious');
    expect(await run('backup', file)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/backup\.db exists\.\n +Choose another name, or add --force/),
    });
    expect(await run('restore', file)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/backup\.db is not a SQLite database\. Nothing was changed\.\n/),
    });
    expect(await run('backup', file, '--force', '--db-path', join(device.home, 'none.db'))).toMatchObject({
      code: 5,
      stderr: expect.stringMatching(/none\.db does not exist\.\n +Check db_path\./),
    });
    expect(await commands()).toEqual(['ls']);
    expect(readdirSync(device.home).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});
