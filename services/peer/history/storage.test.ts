import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory, makeEntries } from '../../../testing/peer.ts';
import { type Database, openDatabase } from './database.ts';
import { createStorage, type Storage } from './storage.ts';
import { createStore, type Store } from './store.ts';

const MIB = 1024 * 1024;

let database: Database;
let store: Store;
let freeBytes: number;
let nowMs: number;

beforeEach(() => {
  database = openDatabase(join(makeDirectory(), 'history.db'));
  onCleanup(() => database.close());
  store = createStore(database);
  freeBytes = 100 * MIB;
  nowMs = 0;
});
afterEach(cleanUp);

function create(limits: { maxBytes?: number; minFreeBytes?: number } = {}): Storage {
  return createStorage({
    database,
    minFreeBytes: 10 * MIB,
    ...limits,
    nowMs: () => nowMs,
    readFreeBytes: () => freeBytes,
  });
}

/** Both checks, after the time for which a result is used again. */
function checks(storage: Storage): object[] {
  nowMs += 1_000;
  return [storage.check(), storage.checkWrite()];
}

const refusedBy = (reason: string): object[] => [
  { ok: false, reason },
  { ok: false, reason },
];
const ACCEPTED = [{ ok: true }, { ok: true }];

/** Fills the database until SQLite itself refuses. */
function fill(): unknown {
  try {
    for (let batch = 0; ; batch += 1) store.insert(makeEntries(100, `batch-${batch}`, 1_000));
  } catch (error) {
    return error;
  }
}

test('a disk with less free space than required is full, and heals without a restart', () => {
  const storage = create();
  expect(checks(storage)).toEqual(ACCEPTED);
  freeBytes = 10 * MIB - 1;
  expect(checks(storage)).toEqual(refusedBy('disk_full'));
  expect(storage.describe('disk_full')).toMatch(
    /history\.db: the disk is full: 10485759 bytes are free, and 10485760 are required\./,
  );
  freeBytes = 10 * MIB;
  expect(checks(storage)).toEqual(ACCEPTED);
});

test('a disk without a free block is full whatever the configuration says', () => {
  const storage = create({ minFreeBytes: 0 });
  freeBytes = 0;
  expect(checks(storage)).toEqual(refusedBy('disk_full'));
});

/** Changes with each real write of a check. */
function writes(): unknown {
  const row = database.sqlite.prepare(`SELECT value FROM rustory_p2p_database WHERE name = 'write_checks'`);
  return row.get()?.['value'];
}

test('a limit that is reached counts at the next check, and a real write is used again for a second', () => {
  const storage = create();
  expect(checks(storage)).toEqual(ACCEPTED);
  const before = writes();
  nowMs += 999;
  expect(storage.checkWrite()).toEqual({ ok: true });
  expect(writes()).toBe(before);
  freeBytes = 0;
  expect([storage.check(), storage.checkWrite()]).toEqual(refusedBy('disk_full'));
  freeBytes = 100 * MIB;
  nowMs += 1;
  expect(storage.checkWrite()).toEqual({ ok: true });
  expect(writes()).not.toBe(before);
});

test('a database of the maximum size is full, and the space of deleted entries counts as free', () => {
  const storage = create({ maxBytes: MIB });
  const entries = makeEntries(1_000, 'laptop', 1_000);
  store.insert(entries);
  expect(checks(storage)).toEqual(refusedBy('database_full'));
  expect(storage.describe('database_full')).toMatch(/bytes are in use, and max_database_bytes is 1048576\./);
  const { databaseBytes } = storage.sizes();
  store.deleteEntries(
    entries.map(({ entry_id: id }) => id),
    { user_id: 'ada', device_id: 'laptop', deleted_at: 1 },
  );
  expect(storage.sizes().databaseBytes).toBeLessThan(databaseBytes / 2);
  expect(checks(storage)).toEqual(ACCEPTED);
});

test('a full database accepts deletions until they use another sixteenth', () => {
  store.insert(makeEntries(1_000, 'laptop', 1_000));
  const { databaseBytes } = create().sizes();
  expect(create({ maxBytes: databaseBytes }).check()).toEqual({ ok: false, reason: 'database_full' });
  expect(create({ maxBytes: databaseBytes }).check('deletions')).toEqual({ ok: true });
  const maxBytes = Math.floor((databaseBytes * 16) / 17);
  expect(create({ maxBytes }).check('deletions')).toEqual({ ok: false, reason: 'database_full' });
  freeBytes = 0;
  expect(create({ maxBytes: databaseBytes }).check('deletions')).toEqual({ ok: false, reason: 'disk_full' });
});

test('the limit is the configured one, or what the disk permits', () => {
  const { databaseBytes } = create().sizes();
  expect(create({ maxBytes: 5 * MIB }).sizes().limitBytes).toBe(5 * MIB);
  expect(create().sizes().limitBytes).toBe(databaseBytes + 90 * MIB);
  freeBytes = MIB;
  expect(create({ maxBytes: 5 * MIB }).sizes().limitBytes).toBe(databaseBytes);
});

describe('a write that failed', () => {
  test('for lack of space is reported until a write succeeds', () => {
    const storage = create();
    expect(checks(storage)).toEqual(ACCEPTED);
    // SQLite reports the same when the disk is full.
    database.sqlite.exec('PRAGMA max_page_count = 100');
    expect(storage.report(fill())).toBe('disk_full');
    expect(storage.check()).toEqual({ ok: true });
  });

  test('to a database that is read-only is reported until a write succeeds', () => {
    const storage = create();
    database.sqlite.exec('PRAGMA query_only = ON');
    expect(storage.report(fill())).toBe('not_writable');
    expect(checks(storage)).toEqual(refusedBy('not_writable'));
    expect(storage.describe('not_writable')).toMatch(/the database cannot be written: .*read-only/);
    expect(store.summary().entries).toBe(0);
    database.sqlite.exec('PRAGMA query_only = OFF');
    expect(checks(storage)).toEqual(ACCEPTED);
  });

  test('is found by the check for readiness', () => {
    const storage = create();
    database.sqlite.exec('PRAGMA query_only = ON');
    expect(storage.check()).toEqual({ ok: true });
    expect(storage.checkWrite()).toEqual({ ok: false, reason: 'not_writable' });
    expect(checks(storage)).toEqual(refusedBy('not_writable'));
  });

  test('for another reason is no problem of the storage', () => {
    const storage = create();
    expect(storage.report(new Error('a defect'))).toBeUndefined();
    expect(checks(storage)).toEqual(ACCEPTED);
  });
});
