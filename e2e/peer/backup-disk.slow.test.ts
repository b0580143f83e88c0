// Backup and restore on a disk that has no space for a second copy of the database.
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { finished, startService } from '../../scripts/processes.ts';
import { cleanUp } from '../../testing/cleanup.ts';
import { ROOT } from '../../testing/groups.ts';
import { makeTestDirectory } from '../../testing/network.ts';
import { makeEntries } from '../../testing/peer.ts';
import { HAS_SMALL_DISKS, mountSmallDisk } from '../../testing/small-disk.ts';
import { openDatabase } from '../../services/peer/history/database.ts';
import { createStore } from '../../services/peer/history/store.ts';

afterEach(cleanUp);

(HAS_SMALL_DISKS ? test : test.skip)(
  'a disk without space for a copy changes nothing',
  async () => {
    const directory = makeTestDirectory();
    const source = join(directory, 'source.db');
    const database = openDatabase(source);
    createStore(database).insert(makeEntries(14_500, 'laptop', 200));
    database.close();
    const disk = await mountSmallDisk(join(directory, 'disk'), '10m');
    const path = join(disk.folder, 'history.db');
    const run = async (...args: string[]) =>
      finished(
        startService('peer', { args, env: { HOME: directory, RUSTORY_DB_PATH: path }, under: disk.under }),
      );
    const files = (): string => disk.exec('ls', disk.folder);

    expect(await run('restore', source)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/14,500 entries/),
    });
    expect(files()).toBe('history.db\n');
    const noSpace =
      /the disk has no space for a copy of the database: \d+ bytes are required, and \d+ are free\. Nothing was changed/;
    for (const args of [
      ['restore', source],
      ['backup', join(disk.folder, 'backup.db')],
      ['backup', '-'],
    ])
      expect(await run(...args)).toMatchObject({
        code: 1,
        stdout: '',
        stderr: expect.stringMatching(noSpace),
      });
    expect(files()).toBe('history.db\n');
    // Standard input has no size, so that the disk is full in the middle.
    disk.exec(
      'sh',
      '-c',
      'head -c 9000000 /dev/zero > "$1" 2> /dev/null; truncate -s -1000000 "$1"',
      'sh',
      join(disk.folder, 'ballast'),
    );
    const script = `"${process.execPath}" "${join(ROOT, 'services/peer/main.ts')}" restore - --db-path "${path}" < "${source}" 2>&1; echo "code $?"`;
    expect(disk.exec('sh', '-c', script)).toMatch(
      /the disk has no space for a copy of the database\. Nothing was changed[^]*code 1/,
    );
    expect(files()).toBe('ballast\nhistory.db\n');
    expect(await run('backup', join(directory, 'backup.db'))).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/14,500 entries/),
    });
  },
  120_000,
);
