// The database of a device that is deleted, restored from an older copy, or lost under the running process.
import { copyFileSync, renameSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../testing/cleanup.ts';
import { type Device, makeEntries, startNetwork } from '../../testing/network.ts';

afterEach(cleanUp);

const FILES = ['', '-wal', '-shm'];

function remove({ databasePath }: Device): void {
  for (const suffix of FILES) rmSync(`${databasePath}${suffix}`, { force: true });
}

/** What a requester gets that asks for what is after a number, as `rr` does. */
function countAfter({ databasePath }: Device, seq: number): number {
  const sqlite = new DatabaseSync(databasePath);
  try {
    const row = sqlite.prepare('SELECT count(*) AS count FROM entries WHERE ingest_seq > ?').get(seq);
    return Number(row?.['count']);
  } finally {
    sqlite.close();
  }
}

async function lastCursor(laptop: Device): Promise<number> {
  const { stdout } = await laptop.run('sync-status', '--json');
  const { peers } = JSON.parse(stdout) as { peers: Array<{ cursor: number }> };
  return Math.max(...peers.map(({ cursor }) => cursor));
}

describe('the entries of a device arrive', () => {
  test.each<[string, (desktop: Device) => void, number]>([
    ['deleted', remove, 100],
    [
      'restored from an older copy',
      (desktop) => {
        remove(desktop);
        copyFileSync(`${desktop.databasePath}.backup`, desktop.databasePath);
      },
      100,
    ],
  ])('after its database was %s', async (_, lose, total) => {
    const network = await startNetwork();
    const [laptop, desktop] = [network.device('laptop'), network.device('desktop')];
    desktop.insert(makeEntries('desktop', 20));
    copyFileSync(desktop.databasePath, `${desktop.databasePath}.backup`);
    desktop.insert(makeEntries('desktop', 30, 20));
    const first = await desktop.serve();
    expect(await laptop.run('sync')).toMatchObject({ code: 0 });
    expect(laptop.entries()).toHaveLength(50);
    await first.stop();
    const cursor = await lastCursor(laptop);
    lose(desktop);
    const second = await desktop.serve();
    desktop.insert(makeEntries('new', 50));
    expect(countAfter(desktop, cursor)).toBe(50);
    expect(await laptop.run('sync')).toMatchObject({ code: 0 });
    expect(laptop.entries()).toHaveLength(total);
    await second.stop();
  });
});

describe('a device whose database file is lost while it serves', () => {
  test.each<[string, (device: Device) => void]>([
    ['deleted', remove],
    ['moved away', ({ databasePath }) => renameSync(databasePath, `${databasePath}.old`)],
  ])('ends with an error that says what to do: %s', async (_, lose) => {
    const network = await startNetwork();
    const desktop = network.device('desktop');
    desktop.insert(makeEntries('desktop', 3));
    const serving = await desktop.serve();
    lose(desktop);
    const line = await serving.waitFor('stopping, because a component failed');
    expect(line['error']).toMatch(/deleted while it was in use.*Start the command again/);
    expect(await serving.exited).toBe(5);
    // The next start works with what is there.
    await desktop.serve();
  });
});
