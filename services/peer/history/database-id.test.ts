import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory } from '../../../testing/peer.ts';
import { type Database, openDatabase } from './database.ts';
import { ensureDatabaseId, readDatabaseId, renewDatabaseId } from './database-id.ts';
import { createStore } from './store.ts';

let path: string;

beforeEach(() => {
  path = join(makeDirectory(), 'history.db');
});
afterEach(cleanUp);

function open(): Database {
  const database = openDatabase(path);
  onCleanup(() => database.close());
  return database;
}

test('a database has no id until a hub uses it, then always the same', () => {
  expect(readDatabaseId(open())).toBeUndefined();
  const id = ensureDatabaseId(open());
  expect(id).toMatch(/^[0-9a-f]{32}$/);
  expect([ensureDatabaseId(open()), readDatabaseId(open())]).toEqual([id, id]);
});

test('a new id is seen by other processes, and the requests that the old one could not explain are forgotten', () => {
  const running = open();
  const id = ensureDatabaseId(running);
  const store = createStore(running);
  store.noteHighRequest({ peerId: 'peer', cursor: 5, deleteCursor: 0, seenUnixSeconds: 100 });
  const renewed = renewDatabaseId(open());
  expect(renewed).toMatch(/^[0-9a-f]{32}$/);
  expect(renewed).not.toBe(id);
  expect(readDatabaseId(running)).toBe(renewed);
  expect(store.highRequestsSince(0)).toEqual([]);
});

test('two databases have different ids', () => {
  const first = ensureDatabaseId(open());
  path = join(makeDirectory(), 'history.db');
  expect(ensureDatabaseId(open())).not.toBe(first);
});

test('an id that is not valid is replaced', () => {
  const database = open();
  database.sqlite.exec("INSERT INTO rustory_p2p_database(name, value) VALUES ('id', 'mine')");
  expect(readDatabaseId(database)).toBeUndefined();
  expect(ensureDatabaseId(database)).toMatch(/^[0-9a-f]{32}$/);
});
