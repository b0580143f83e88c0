import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory, makeEntries } from '../../../testing/peer.ts';
import { DatabaseError, openDatabase } from '../history/database.ts';
import { createStorage } from '../history/storage.ts';
import { createStore } from '../history/store.ts';
import { createGuardedStore } from './guarded-store.ts';

afterEach(cleanUp);

test('a page is not stored when there is no space, and its cursors stay; the next one is when there is', () => {
  const database = openDatabase(join(makeDirectory(), 'history.db'));
  onCleanup(() => database.close());
  const store = createStore(database);
  let free = 1_000;
  let now = 0;
  const storage = createStorage({
    database,
    minFreeBytes: 1_000_000,
    nowMs: () => (now += 10_000),
    readFreeBytes: () => free,
  });
  const guarded = createGuardedStore(store, storage, database.path);
  const page = { entries: makeEntries(3), deletions: [] };
  const insert = () => guarded.insertPage(page, { peerId: 'laptop', cursor: 3 });
  expect(insert).toThrow(DatabaseError);
  expect(insert).toThrow('1000 bytes are free');
  expect(store.summary().entries).toBe(0);
  expect(store.cursorsOf('laptop').cursor).toBe(0);
  free = 10_000_000;
  expect(insert()).toMatchObject({ inserted: 3 });
  expect(store.cursorsOf('laptop').cursor).toBe(3);
});
