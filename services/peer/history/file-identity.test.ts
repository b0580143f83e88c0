import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory, makeEntries, readEntries } from '../../../testing/peer.ts';
import { type Database, DatabaseError, openDatabase } from './database.ts';
import { createFileWatch, readIdentity } from './file-identity.ts';
import { createStore, type Store } from './store.ts';

let path: string;
let database: Database;
let store: Store;

beforeEach(() => {
  path = join(makeDirectory(), 'data', 'history.db');
  ({ database, store } = open());
  store.insert(makeEntries(3));
});
afterEach(cleanUp);

function open() {
  const opened = openDatabase(path);
  onCleanup(() => {
    if (opened.sqlite.isOpen) opened.close();
  });
  return { database: opened, store: createStore(opened) };
}

const remove = (...suffixes: string[]): void => {
  for (const suffix of suffixes) rmSync(`${path}${suffix}`);
};

describe('a database file that is lost while it is in use', () => {
  test.each<[string, () => void]>([
    ['deleted', () => remove('')],
    ['deleted with its log', () => remove('', '-wal', '-shm')],
    ['moved away', () => renameSync(path, `${path}.old`)],
    ['replaced by a new database', () => (remove('', '-wal', '-shm'), openDatabase(path).close())],
    ['replaced by a copy', () => (copyFileSync(path, `${path}.copy`), renameSync(`${path}.copy`, path))],
    ['moved with its directory', () => renameSync(dirname(path), `${dirname(path)}.old`)],
    [
      'in a directory that was made anew',
      () => {
        renameSync(dirname(path), `${dirname(path)}.old`);
        mkdirSync(dirname(path));
        openDatabase(path).close();
      },
    ],
    ['without its log', () => remove('-wal')],
  ])('is noticed: %s', (_, lose) => {
    lose();
    for (const use of [
      () => database.check(),
      () => store.insert(makeEntries(1, 'late')),
      () => store.summary(),
    ]) {
      expect(use).toThrow(DatabaseError);
      expect(use).toThrow(/(deleted|replaced) while it was in use/);
    }
  });

  test('is noticed before a transaction is committed', () => {
    expect(() => database.write(() => remove('', '-wal', '-shm'))).toThrow(/deleted while it was in use/);
  });

  test('is not touched by the process that had the old one open', () => {
    remove('', '-wal', '-shm');
    const next = open();
    next.store.insert(makeEntries(5, 'new'));
    expect(existsSync(`${path}-wal`)).toBe(true);
    database.close();
    expect(existsSync(`${path}-wal`)).toBe(true);
    expect(readEntries(open().store)).toHaveLength(5);
    next.store.insert(makeEntries(1, 'newer'));
    expect(readEntries(open().store)).toHaveLength(6);
  });
});

test('a file that is replaced while it is opened is noticed, because it is not known which one is open', () => {
  const before = readIdentity(path);
  copyFileSync(path, `${path}.copy`);
  renameSync(`${path}.copy`, path);
  expect(() => createFileWatch(path, before)).toThrow(/replaced while it was opened/);
  expect(() => createFileWatch(path, readIdentity(path))).not.toThrow();
});

test('other processes that open, write, empty the log and close do not look like a lost file', () => {
  const other = open();
  other.store.insert(makeEntries(3, 'other'));
  other.store.deleteEntries(['other-1'], { user_id: 'ada', device_id: 'laptop', deleted_at: 1 });
  other.database.sqlite.exec('VACUUM');
  other.database.sqlite.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  openDatabase(path).close();
  expect(store.insert(makeEntries(1, 'late'))).toMatchObject({ inserted: 1 });
  expect(store.summary().entries).toBe(6);
});
