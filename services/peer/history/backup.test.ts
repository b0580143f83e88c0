import {
  chmodSync,
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory, makeEntries, openStore, readEntries } from '../../../testing/peer.ts';
import { backUpDatabase } from './backup.ts';
import { type Database, DatabaseError } from './database.ts';
import { ensureDatabaseId, readDatabaseId } from './database-id.ts';
import type { Store } from './store.ts';

const by = { user_id: 'ada', device_id: 'laptop', deleted_at: 1 };

let directory: string;
let path: string;
let target: string;
let database: Database;
let store: Store;

beforeEach(() => {
  directory = makeDirectory();
  path = join(directory, 'history.db');
  target = join(directory, 'backup.db');
  ({ database, store } = openStore(path));
  store.insert(makeEntries(300));
  store.deleteEntries(['laptop-7'], by);
});
afterEach(cleanUp);

const filesBeside = (file: string): string[] => readdirSync(dirname(file)).toSorted();

test('a backup is one complete file, for its owner only, without the id of the database', async () => {
  ensureDatabaseId(database);
  const report = await backUpDatabase(path, target);
  expect(report).toEqual({ entries: 299, deletions: 1, bytes: statSync(target).size });
  expect(statSync(target).mode & 0o777).toBe(0o600);
  expect(filesBeside(target)).toEqual(['backup.db', 'history.db', 'history.db-shm', 'history.db-wal']);
  // The file can be read where nothing can be written beside it.
  chmodSync(target, 0o400);
  const copy = openStore(target);
  expect(readEntries(copy.store)).toEqual(readEntries(store));
  expect(readDatabaseId(copy.database)).toBeUndefined();
  expect(readDatabaseId(database)).toMatch(/^[0-9a-f]{32}$/);
});

test('a backup ends and is consistent while another process writes all the time', async () => {
  store.insert(makeEntries(20_000, 'desktop', 200));
  const writer = openStore(path).store;
  let stored = 0;
  const timer = setInterval(() => {
    writer.insert(makeEntries(5, `late-${stored}`));
    stored += 5;
  });
  onCleanup(() => clearInterval(timer));
  const shares: number[] = [];
  const { entries } = await backUpDatabase(path, target, { onProgress: (share) => shares.push(share) });
  clearInterval(timer);
  expect(stored).toBeGreaterThan(0);
  expect(entries).toBeLessThan(store.summary().entries);
  expect(readEntries(openStore(target).store)).toEqual(readEntries(store).slice(0, entries));
  expect(entries).toBeGreaterThanOrEqual(20_299);
  expect(shares).toEqual(shares.toSorted((a, b) => a - b));
});

describe('a file that exists', () => {
  test('is not replaced, and not changed', async () => {
    writeFileSync(target, 'precious');
    await expect(backUpDatabase(path, target)).rejects.toThrow(/backup\.db exists/);
    expect(readFileSync(target, 'utf8')).toBe('precious');
  });

  test('that appears while the copy is made is not replaced', async () => {
    const copying = backUpDatabase(path, target);
    writeFileSync(target, 'precious');
    await expect(copying).rejects.toThrow(/backup\.db exists/);
    expect(readFileSync(target, 'utf8')).toBe('precious');
  });

  test('is replaced when it is forced', async () => {
    writeFileSync(target, 'old', { mode: 0o644 });
    await backUpDatabase(path, target, { isForced: true });
    expect(statSync(target).mode & 0o777).toBe(0o600);
    expect(openStore(target).store.summary().entries).toBe(299);
  });

  test('is never the database itself, nor a directory', async () => {
    await expect(backUpDatabase(path, path, { isForced: true })).rejects.toThrow(/is the database itself/);
    await expect(backUpDatabase(path, directory, { isForced: true })).rejects.toThrow(/not a regular file/);
  });
});

describe('a backup that fails leaves no file', () => {
  test('because a signal stopped it', async () => {
    store.insert(makeEntries(20_000, 'desktop', 200));
    const stop = new AbortController();
    const copying = backUpDatabase(path, target, {
      signal: stop.signal,
      onProgress: () => stop.abort(new Error('stopped')),
    });
    await expect(copying).rejects.toThrow('stopped');
  });

  test('because the database is damaged', async () => {
    store.insert(makeEntries(2_000, 'desktop', 200));
    database.close();
    const file = openSync(path, 'r+');
    writeSync(file, Buffer.alloc(3 * 4096, 0xff), 0, 3 * 4096, 40 * 4096);
    closeSync(file);
    const copying = backUpDatabase(path, target);
    await expect(copying).rejects.toMatchObject({
      code: 'DATABASE_UNUSABLE',
      message: expect.stringMatching(/history\.db is damaged: .*deleted, because it is damaged too/s),
    });
  });

  test('because it is no database', async () => {
    const other = join(directory, 'other.db');
    writeFileSync(other, 'no database '.repeat(1_000));
    await expect(backUpDatabase(other, target)).rejects.toThrow(DatabaseError);
    await expect(backUpDatabase(join(directory, 'none.db'), target)).rejects.toThrow(
      /none\.db does not exist/,
    );
  });

  test('because the directory does not exist', async () => {
    const missing = join(directory, 'missing', 'backup.db');
    await expect(backUpDatabase(path, missing)).rejects.toThrow(/missing does not exist/);
  });

  afterEach(() => {
    expect(filesBeside(target).filter((name) => /backup|tmp/.test(name))).toEqual([]);
  });
});
