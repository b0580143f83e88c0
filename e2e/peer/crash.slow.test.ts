import { DatabaseSync } from 'node:sqlite';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../testing/cleanup.ts';
import { type Device, makeEntries, startNetwork } from '../../testing/network.ts';
import { until } from '../../testing/wait.ts';

afterEach(cleanUp);

const ENTRIES = 100_000;
const KILLS = 20;

const TEST_TIMEOUT_MS = 900_000;
const WAIT_MS = 120_000;

/** A clock with which the numbers of a new database start at 1, so that a cursor is a number of entries. */
const FROM_ONE = (): number => 0;

/** Reads the content of the database in a process other than the syncing one. */
function inspect({ databasePath }: Device) {
  const database = new DatabaseSync(databasePath, { readOnly: true, timeout: 5_000 });
  try {
    const value = (sql: string): unknown => Object.values(database.prepare(sql).get() ?? {})[0];
    return {
      integrity: value('PRAGMA integrity_check'),
      entries: Number(value('SELECT count(*) FROM entries')),
      distinct: Number(value('SELECT count(DISTINCT entry_id) FROM entries')),
      cursor: Number(value('SELECT coalesce(max(last_cursor), 0) FROM peer_state')),
    };
  } finally {
    database.close();
  }
}

/** Reads only the cursor, which is fast while the other process writes. */
function cursorOf({ databasePath }: Device): number {
  const database = new DatabaseSync(databasePath, { readOnly: true, timeout: 5_000 });
  const row = database.prepare('SELECT max(last_cursor) AS cursor FROM peer_state').get();
  database.close();
  return Number(row?.['cursor'] ?? 0);
}

describe('a device that is killed while it syncs', () => {
  test(
    `${KILLS} times loses nothing, duplicates nothing and ends with the same history`,
    async () => {
      const network = await startNetwork();
      const [source, target] = [network.device('source'), network.device('target')];
      source.insert(makeEntries('source', ENTRIES), FROM_ONE);
      target.insert([]);
      await source.serve();

      for (let kill = 1; kill <= KILLS; kill += 1) {
        const syncing = target.start('sync', '--limit', '250');
        const before = cursorOf(target);
        // Some processes are killed while they connect, most of them at a random page.
        const goal = kill % 5 === 0 ? before : before + Math.floor(Math.random() * (ENTRIES / KILLS));
        await until(() => cursorOf(target) >= goal, `the cursor is at ${goal}`, WAIT_MS);
        syncing.kill('SIGKILL');
        await syncing.exited;
        const { integrity, entries, distinct, cursor } = inspect(target);
        expect(integrity).toBe('ok');
        expect(distinct).toBe(entries);
        // All entries come from one source, whose cursor counts them without a gap.
        expect(cursor).toBe(entries);
      }

      const { code, stdout } = await target.run('sync', '--json');
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ duplicates: 0, next_cursor: ENTRIES });
      expect(inspect(target)).toEqual({
        integrity: 'ok',
        entries: ENTRIES,
        distinct: ENTRIES,
        cursor: ENTRIES,
      });
      expect(target.entries()).toEqual(source.entries());
    },
    TEST_TIMEOUT_MS,
  );
});

describe('two processes of one device', () => {
  test(
    'sync into one database at the same time while a shell records, and nothing is lost or duplicated',
    async () => {
      const network = await startNetwork();
      const [source, target] = [network.device('source'), network.device('target')];
      source.insert(makeEntries('source', 20_000), FROM_ONE);
      await source.serve();
      const results = await Promise.all([
        target.run('sync', '--json', '--limit', '500'),
        target.run('sync', '--json', '--limit', '700'),
        target.run('record', '--cmd', 'echo while syncing', '--print-id'),
      ]);
      expect(results.map(({ code }) => code)).toEqual([0, 0, 0]);
      expect(inspect(target)).toEqual({ integrity: 'ok', entries: 20_001, distinct: 20_001, cursor: 20_000 });
    },
    TEST_TIMEOUT_MS,
  );
});
