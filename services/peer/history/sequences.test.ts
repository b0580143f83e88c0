import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory, makeEntries, openStore, readEntries } from '../../../testing/peer.ts';
import { type Database, openDatabase } from './database.ts';
import { createStore } from './store.ts';

let path: string;
const clock = { unixMs: 0 };
const BY = { user_id: 'ada', device_id: 'laptop', deleted_at: 5 };
const TIME_MS = 1_800_000_000_000;

beforeEach(() => {
  path = join(makeDirectory(), 'history.db');
  clock.unixMs = TIME_MS;
});
afterEach(cleanUp);

const open = () => openStore(path, () => clock.unixMs);

function counters({ sqlite }: Database) {
  return sqlite
    .prepare("SELECT name, seq FROM sqlite_sequence WHERE name LIKE 'entr%' ORDER BY name")
    .all()
    .map(({ name, seq }) => [name, seq]);
}

const both = (seq: number) => [
  ['entries', seq],
  ['entry_deletions', seq],
];

describe('the counters', () => {
  test('of a new database are the time in microseconds', () => {
    const { database, store } = open();
    expect(counters(database)).toEqual(both(TIME_MS * 1_000));
    expect(store.highestStored()).toEqual({ cursor: 0, deleteCursor: 0 });
    store.insert(makeEntries(3));
    expect(store.highestStored().cursor).toBe(TIME_MS * 1_000 + 3);
  });

  test('are raised at each start of a daemon, and never lowered, whatever the clock says', () => {
    const { database, store } = open();
    clock.unixMs += 5_000;
    store.raiseSequences();
    const raised = both((TIME_MS + 5_000) * 1_000);
    expect(counters(database)).toEqual(raised);
    for (const unixMs of [TIME_MS, 0, -TIME_MS, Number.MAX_SAFE_INTEGER, Number.NaN]) {
      clock.unixMs = unixMs;
      const before = counters(database);
      store.raiseSequences();
      for (const [index, [name, seq]] of counters(database).entries()) {
        expect(name).toBe(before[index]?.[0]);
        expect(seq).toBeGreaterThan(Number(before[index]?.[1]));
        expect(Number.isSafeInteger(seq)).toBe(true);
      }
    }
  });

  test('stay exact with a clock at the end of what is exact', () => {
    clock.unixMs = Math.floor((Number.MAX_SAFE_INTEGER - 2 ** 40) / 1_000) - 1;
    const { database, store } = open();
    store.raiseSequences();
    expect(counters(database)).toEqual(both(clock.unixMs * 1_000));
  });

  test.each([
    ['are missing', 'DELETE FROM sqlite_sequence'],
    ['are empty', 'UPDATE sqlite_sequence SET seq = NULL'],
  ])('have one row each, also when they %s', (_, sql) => {
    const { database, store } = open();
    store.insert(makeEntries(3));
    database.sqlite.exec(sql);
    clock.unixMs = 1;
    store.raiseSequences();
    store.raiseSequences();
    expect(counters(database).map(([name]) => name)).toEqual(['entries', 'entry_deletions']);
    store.insert(makeEntries(1, 'late'));
    expect(store.highestStored().cursor).toBe(TIME_MS * 1_000 + 4);
    expect(counters(database)).toHaveLength(2);
  });

  test.each([
    ['is on time', TIME_MS + 60_000],
    ['is behind', TIME_MS - 60_000],
    ['started at 1970', 0],
  ])('of a database that lost its last transactions are above them when the clock %s', (_, unixMs) => {
    const { database, store } = open();
    store.insert(makeEntries(100));
    const { cursor } = store.highestStored();
    database.sqlite.exec(`DELETE FROM entries WHERE ingest_seq > ${TIME_MS * 1_000 + 4};
      UPDATE sqlite_sequence SET seq = ${TIME_MS * 1_000} + 4`);
    clock.unixMs = unixMs;
    store.raiseSequences();
    store.insert(makeEntries(1, 'late'));
    expect(store.startOfLast(1)).toBe(TIME_MS * 1_000 + 4);
    expect(store.highestStored().cursor).toBeGreaterThan(cursor);
  });

  test('of a database that loses its last transactions do not give out the same numbers again', () => {
    const { database, store } = open();
    store.insert(makeEntries(10));
    store.deleteEntries(['laptop-0'], BY);
    const before = store.highestStored();
    database.sqlite
      .exec(`DELETE FROM entries WHERE ingest_seq > ${TIME_MS * 1_000 + 4}; DELETE FROM entry_deletions;
      UPDATE sqlite_sequence SET seq = ${TIME_MS * 1_000} + 4`);
    clock.unixMs += 60_000;
    store.raiseSequences();
    store.insert(makeEntries(1, 'late'));
    store.deleteEntries(['laptop-1'], BY);
    expect(store.highestStored().cursor).toBeGreaterThan(before.cursor);
    expect(store.highestStored().deleteCursor).toBeGreaterThan(before.deleteCursor);
  });
});

describe('the highest stored numbers', () => {
  test('remain when their rows are deleted, also rows that rr stored', () => {
    const { database, store } = open();
    store.insert(makeEntries(3));
    database.sqlite
      .exec(`INSERT INTO entries(entry_id, device_id, user_id, ts, cmd, cwd, exit_code, duration_ms, shell, hostname, version)
      VALUES ('of-rr', 'laptop', 'ada', 1700000000, 'ls', '/', 0, 1, 'zsh', 'laptop.lan', '1.1.1')`);
    store.deleteEntries(['of-rr'], BY);
    expect(store.highestStored()).toEqual({ cursor: TIME_MS * 1_000 + 4, deleteCursor: TIME_MS * 1_000 + 1 });
    clock.unixMs += 1;
    store.raiseSequences();
    expect(store.highestStored().cursor).toBe(TIME_MS * 1_000 + 4);
  });

  test('remain when rr stored a row, it was sent, and rr deleted it', () => {
    const { database, store } = open();
    store.insert(makeEntries(1));
    database.sqlite
      .exec(`INSERT INTO entries(entry_id, device_id, user_id, ts, cmd, cwd, exit_code, duration_ms, shell, hostname, version)
      SELECT 'of-rr', device_id, user_id, ts, cmd, cwd, exit_code, duration_ms, shell, hostname, version FROM entries`);
    store.noteSent({ cursor: TIME_MS * 1_000 + 2 });
    database.sqlite.exec("DELETE FROM entries WHERE entry_id = 'of-rr'");
    expect(store.highestStored().cursor).toBe(TIME_MS * 1_000 + 2);
  });

  test('do not count entries that were known already', () => {
    const { store } = open();
    store.insert(makeEntries(3));
    store.insert(makeEntries(3));
    expect(store.highestStored().cursor).toBe(TIME_MS * 1_000 + 3);
  });

  test('of a database of an earlier version include rows that were deleted before', () => {
    clock.unixMs = 0;
    const { database, store } = open();
    store.insert(makeEntries(5));
    database.sqlite.exec('DELETE FROM entries WHERE ingest_seq > 2; DROP TABLE rustory_p2p_stored_seqs');
    database.close();
    clock.unixMs = TIME_MS;
    const next = openDatabase(path, () => clock.unixMs);
    onCleanup(() => next.close());
    expect(createStore(next).highestStored().cursor).toBe(5);
    expect(createStore(next).cursorsOf('p')).toEqual({ cursor: 0, deleteCursor: 0 });
  });
});

describe('numbers that are not exact in JavaScript', () => {
  const MAX_I64 = 9_223_372_036_854_775_807n;
  const BY_OTHERS = "'ada', 'laptop', 1, 'ls', '/', 0, 0, 'sh', 'h', '1'";

  test.each([
    ['2 ** 60', 2n ** 60n],
    ['the largest one', MAX_I64 - 4n],
    ['almost 2 ** 53', 2n ** 53n - 2n],
  ])('of rows (%s) are replaced in the same order, above all others', (_, start) => {
    const { database, store } = open();
    store.insert(makeEntries(2));
    for (const seq of [0n, 1n, 2n]) {
      database.sqlite.exec(`INSERT INTO entries VALUES (${start + seq}, 'large-${seq}', ${BY_OTHERS});
        INSERT INTO entry_deletions VALUES (${start + seq}, 'gone-${seq}', 'ada', 'laptop', ${MAX_I64})`);
    }
    database.sqlite.exec(`INSERT INTO peer_push_state VALUES ('p', ${start + 1n}), ('q', 2);
      INSERT INTO peer_delete_push_state VALUES ('p', ${MAX_I64})`);
    database.close();
    clock.unixMs += 1;
    const opened = open();
    expect(readEntries(opened.store).map(({ entry_id }) => entry_id)).toEqual([
      'laptop-0',
      'laptop-1',
      'large-0',
      'large-1',
      'large-2',
    ]);
    const seqs: number[] = [];
    opened.store.readDeletionsAfter(0, 9, ({ seq }) => seqs.push(seq) > 0);
    const last = (TIME_MS + 1) * 1_000 + 3;
    expect(seqs).toEqual([last - 2, last - 1, last]);
    expect(opened.store.highestStored()).toEqual({ cursor: last, deleteCursor: last });
    expect(opened.store.insert(makeEntries(1, 'late')).inserted).toBe(1);
    expect(counters(opened.database)).toEqual([
      ['entries', last + 1],
      ['entry_deletions', last],
    ]);
    const push = opened.database.sqlite.prepare('SELECT * FROM peer_push_state ORDER BY peer_id').all();
    expect(push.map(({ last_pushed_seq: seq }) => seq)).toEqual([0, 2]);
  });

  test.each(['entries', 'entry_deletions'])('of the counter of %s do not prevent new rows', (table) => {
    const { database } = open();
    database.sqlite.exec(`UPDATE sqlite_sequence SET seq = ${MAX_I64} WHERE name = '${table}'`);
    database.close();
    const { store, database: opened } = open();
    store.insert(makeEntries(2));
    expect(store.deleteEntries(['laptop-0'], BY).deleted).toBe(1);
    expect(counters(opened)).toEqual([
      ['entries', TIME_MS * 1_000 + 2],
      ['entry_deletions', TIME_MS * 1_000 + 1],
    ]);
  });

  test.each([MAX_I64, 2n ** 53n, -1n])('as the pull cursors of a peer (%s) are position 0', (cursor) => {
    const { database, store } = open();
    database.sqlite.exec(`INSERT INTO peer_state VALUES ('p', ${cursor});
      INSERT INTO peer_delete_state VALUES ('p', ${cursor})`);
    const position = { cursor: 0, deleteCursor: 0, entryId: undefined };
    expect(store.positionOf('p')).toEqual(position);
    expect(store.cursors()).toEqual([{ peerId: 'p', cursor: 0, deleteCursor: 0 }]);
    const page = { entries: makeEntries(1), deletions: [] };
    const to = { peerId: 'p', cursor: 7, deleteCursor: undefined, entryId: 'laptop-0', read: position };
    expect(store.insertPage(page, to).isMoved).toBe(true);
    expect(store.positionOf('p')).toEqual({ cursor: 7, deleteCursor: 0, entryId: 'laptop-0' });
  });
});

/** A database whose file is put back to its state before the last two entries, as a snapshot of a disk is. */
function putBack() {
  const lost = open();
  lost.store.raiseSequences();
  lost.store.insert(makeEntries(3, 'early'));
  lost.database.close();
  const snapshot = readFileSync(path);
  const later = open();
  later.store.insert(makeEntries(2, 'lost'));
  const { cursor } = later.store.highestStored();
  later.database.close();
  writeFileSync(path, snapshot);
  return cursor;
}

describe('a position that this database never had', () => {
  test('is known as long as nothing is stored after a snapshot was put back', () => {
    const cursor = putBack();
    expect(open().store.isNeverStored({ cursor })).toBe(true);
  });

  test('is known after more was stored, and after many starts', () => {
    const cursor = putBack();
    for (let start = 0; start < 70; start += 1) {
      clock.unixMs += 60_000;
      const { database, store } = open();
      store.raiseSequences();
      if (start < 10) store.insert(makeEntries(2, `start-${start}`));
      expect(store.isNeverStored({ cursor })).toBe(true);
      // What this database assigned is never taken for it, nor is the number before, from which requesters check an entry.
      store.readAfter(0, 1_000, ({ seq }) => {
        expect([store.isNeverStored({ cursor: seq }), store.isNeverStored({ cursor: seq - 1 })]).toEqual([
          false,
          false,
        ]);
        return true;
      });
      database.close();
    }
  });

  test('is known for deletions too', () => {
    const { database, store } = open();
    store.insert(makeEntries(3));
    store.deleteEntries(['laptop-0'], BY);
    const lost = store.highestStored().deleteCursor + 1;
    clock.unixMs += 1_000;
    store.raiseSequences();
    store.deleteEntries(['laptop-1'], BY);
    expect(store.isNeverStored({ deleteCursor: lost })).toBe(true);
    expect(store.isNeverStored({ deleteCursor: lost - 1 })).toBe(false);
    expect(store.isNeverStored(store.highestStored())).toBe(false);
    expect(store.isNeverStored({ cursor: 0, deleteCursor: 0 })).toBe(false);
    const ranges = database.sqlite.prepare('SELECT count(*) AS count FROM rustory_p2p_unused_seqs').get();
    expect(ranges).toEqual({ count: 4 });
  });
});
