import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createTestHome, type TestHome } from '../../../../testing/cli.ts';
import { cleanUp } from '../../../../testing/cleanup.ts';

let device: TestHome;

beforeEach(() => {
  device = createTestHome();
});

afterEach(cleanUp);

const run: TestHome['run'] = async (...args) => device.run(...args);

async function record(cmd: string): Promise<string> {
  return (await run(['record', '--cmd', cmd, '--print-id'])).stdout.trim();
}

async function commands(): Promise<string[]> {
  const lines = (await run(['entries', '--json'])).stdout.trim().split('\n');
  return lines.flatMap((line) => (line === '' ? [] : (JSON.parse(line) as { cmd: string }).cmd));
}

describe('delete', () => {
  test('deletes the entries with these ids, which entries --ids prints', async () => {
    await record('ls');
    await record('make deploy');
    const lines = (await run(['entries', '--ids'])).stdout.trim().split('\n');
    const [id = ''] = lines.find((line) => line.endsWith('make deploy'))?.split(' ') ?? [];
    expect(await run(['delete', id])).toMatchObject({
      code: 0,
      stdout: 'deleted 1 entry\n',
      stderr: expect.stringContaining('other devices'),
    });
    expect(await commands()).toEqual(['ls']);
    expect(await run(['delete', id])).toMatchObject({ code: 0, stdout: 'deleted 0 entries\n' });
  });

  test('deletes nothing when one of the ids is unknown', async () => {
    const id = await record('ls');
    expect(await run(['delete', id, 'unknown'])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/No entry has the id "unknown"\. Nothing was deleted\.[^]*entries --ids/),
    });
    expect(await commands()).toEqual(['ls']);
  });

  test('lists the entries with exactly this command, and deletes them with --yes', async () => {
    for (const cmd of ['make', 'make', 'make all']) await record(cmd);
    const preview = await run(['delete', '--cmd', 'make']);
    expect(preview).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('Add --yes to delete 2 entries'),
    });
    expect(preview.stdout.trim().split('\n')).toHaveLength(2);
    expect(await commands()).toHaveLength(3);
    expect(JSON.parse((await run(['delete', '--cmd', 'make', '--json'])).stdout)).toMatchObject({
      matched: 2,
      deleted: 0,
    });
    expect(JSON.parse((await run(['delete', '--cmd', 'make', '--yes', '--json'])).stdout)).toMatchObject({
      matched: 2,
      deleted: 2,
      entry_ids: [expect.any(String), expect.any(String)],
    });
    expect(await commands()).toEqual(['make all']);
    expect(await run(['delete', '--cmd', 'make', '--yes'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('No entry has exactly the command "make"'),
    });
  });

  test.each([
    ['no selection', []],
    ['--yes without a command', ['--yes', 'some-id']],
    ['both selections', ['--cmd', 'ls', 'some-id']],
  ])('with %s is an invalid command line', async (_, args) => {
    expect(await run(['delete', ...args])).toMatchObject({ code: 2, stdout: '' });
  });

  test('prevents that an import restores the command', async () => {
    const file = join(device.home, '.bash_history');
    writeFileSync(file, 'secret\nls\n');
    await run(['import', file]);
    await run(['delete', '--cmd', 'secret', '--yes']);
    expect((await run(['import', file])).stdout).toContain('imported 0 commands, skipped 2');
    writeFileSync(file, 'pwd\nsecret\nls\n');
    expect((await run(['import', file])).stdout).toContain('imported 1 commands, skipped 2');
    expect(await commands()).toEqual(['ls', 'pwd']);
  });
});
