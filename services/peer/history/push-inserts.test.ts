import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory, makeEntries, readEntries } from '../../../testing/peer.ts';
import { openDatabase } from './database.ts';
import { createStore } from './store.ts';

afterEach(cleanUp);

const deletion = (entryId: string, deletedAt = 1_700_000_000) => ({
  entry_id: entryId,
  user_id: 'ada',
  device_id: 'laptop',
  deleted_at: deletedAt,
});

function open(path = join(makeDirectory(), 'history.db')) {
  const database = openDatabase(path, () => 0, { isDurable: true });
  onCleanup(() => database.close());
  return { path, database, store: createStore(database) };
}

describe('what a device pushes', () => {
  test('is stored once, and what is deleted is not stored', () => {
    const { store } = open();
    const [kept, gone] = makeEntries(2);
    const results: unknown[] = [];
    const push = () =>
      store.storePushed(({ insertDeletion, insertEntry }) => {
        results.push(insertDeletion(deletion('laptop-1')));
        for (const entry of [kept, gone, kept]) results.push(entry !== undefined && insertEntry(entry));
      });
    expect([push(), push()]).toEqual([{ ok: true }, { ok: true }]);
    expect(results).toEqual([
      { newDeletions: 1, ignoredDeletions: 0, deleted: 0 },
      true,
      false,
      false,
      { newDeletions: 0, ignoredDeletions: 1, deleted: 0 },
      false,
      false,
      false,
    ]);
    expect(readEntries(store)).toEqual([kept]);
  });

  test('removes entries whose numbers stay assigned', () => {
    const { store } = open();
    store.insert(makeEntries(5));
    store.storePushed(({ insertDeletion }) => void insertDeletion(deletion('laptop-4')));
    expect(store.highestStored()).toEqual({ cursor: 5, deleteCursor: 1 });
    store.storePushed(({ insertEntry }) => {
      for (const entry of makeEntries(1, 'desktop')) insertEntry(entry);
    });
    expect(store.highestStored()).toEqual({ cursor: 6, deleteCursor: 1 });
  });

  test('is rolled back as a whole when it cannot be stored', () => {
    const { store } = open();
    const fail = () =>
      store.storePushed(({ insertEntry }) => {
        for (const entry of makeEntries(3)) insertEntry(entry);
        throw new Error('The work failed.');
      });
    expect(fail).toThrow('The work failed.');
    expect(readEntries(store)).toEqual([]);
  });

  test('is refused immediately while another process writes, and stored afterwards', () => {
    const { store, path } = open();
    const other = openDatabase(path);
    onCleanup(() => other.close());
    const push = () =>
      store.storePushed(({ insertEntry }) => {
        for (const entry of makeEntries(1)) insertEntry(entry);
      });
    other.sqlite.exec('BEGIN IMMEDIATE');
    expect(push()).toEqual({ ok: false, reason: 'locked' });
    other.sqlite.exec('ROLLBACK');
    expect(push()).toEqual({ ok: true });
    expect(readEntries(store)).toHaveLength(1);
  });

  test('is written to the disk by each commit, also what another process stored before', () => {
    const { database, store, path } = open();
    expect(database.sqlite.prepare('PRAGMA synchronous').get()).toEqual({ synchronous: 2 });
    const other = openDatabase(path);
    onCleanup(() => other.close());
    expect(other.sqlite.prepare('PRAGMA synchronous').get()).toEqual({ synchronous: 1 });
    createStore(other).deleteEntries(['laptop-0'], deletion('laptop-0'));
    // Only a commit that writes waits for the disk. The version changes for another connection with each such commit.
    const version = (): unknown => other.sqlite.prepare('PRAGMA data_version').get();
    const before = version();
    store.storePushed(({ insertDeletion }) => {
      expect(insertDeletion(deletion('laptop-0'))).toMatchObject({ ignoredDeletions: 1 });
    });
    expect(version()).not.toEqual(before);
  });
});
