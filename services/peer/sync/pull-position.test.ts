// Pulls from peers whose history is another one than in the last sync: a database that was deleted, restored from an older
// copy, or belongs to another device with the same identity.
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../../testing/cleanup.ts';
import { makeEntries, type TestDevice } from '../../../testing/peer.ts';
import { clock, HOUR, idsOf, pullOnce, rows, startPair } from '../../../testing/scripted-pull.ts';
import type { Deletion } from '../history/deletion.ts';
import { openDatabase } from '../history/database.ts';
import { createStore } from '../history/store.ts';
import { createPullPosition } from './pull-position.ts';

afterEach(cleanUp);

const deletion = (entryId: string): Deletion => ({
  entry_id: entryId,
  user_id: 'ada',
  device_id: 'laptop',
  deleted_at: 5,
});

describe('a pull from a peer with the same history', () => {
  test('asks from the last entry, does not count it, and asks for what follows it', async () => {
    const { client, peer } = await startPair();
    peer.rows = rows('a', 1, 10);
    expect(await pullOnce(client, peer)).toMatchObject({ entries: 10, nextCursor: 10 });
    const empty = await pullOnce(client, peer);
    expect(empty).toMatchObject({ entries: 0, duplicates: 0, error: undefined, hasNewDatabase: false });
    expect(empty.requests.map(({ cursor }) => cursor)).toEqual([9, 10]);
    peer.rows.push(...rows('b', 11, 5));
    expect(await pullOnce(client, peer)).toMatchObject({ entries: 5, duplicates: 0, hasNewDatabase: false });
  });

  test.each([1, 2, 3])('is complete with pages of %i', async (limit) => {
    const { client, peer } = await startPair();
    peer.rows = rows('a', 1, 3);
    await pullOnce(client, peer, limit);
    peer.rows.push(...rows('b', 4, 5));
    expect(await pullOnce(client, peer, limit)).toMatchObject({ entries: 5, duplicates: 0 });
  });

  test('continues when the last entry was deleted, here or there', async () => {
    for (const isHere of [true, false]) {
      const { client, peer } = await startPair();
      peer.rows = rows('a', 1, 10);
      await pullOnce(client, peer);
      if (isHere) client.store.deleteEntries(['a-9'], { user_id: 'ada', device_id: 'laptop', deleted_at: 5 });
      peer.rows.pop();
      peer.deletions = isHere ? [] : [{ seq: 1, deletion: deletion('a-9') }];
      expect(await pullOnce(client, peer)).toMatchObject({ entries: 0, hasNewDatabase: false });
      peer.rows.push(...rows('b', 11, 2));
      expect(await pullOnce(client, peer)).toMatchObject({
        entries: 2,
        duplicates: 0,
        hasNewDatabase: false,
      });
    }
  });

  test('judges after all deletions, of which there may be more than a page has', async () => {
    const { client, peer } = await startPair();
    peer.rows = rows('a', 1, 10);
    await pullOnce(client, peer);
    peer.rows.pop();
    peer.deletions = Array.from({ length: 250 }, (_, n) => ({ seq: n + 1, deletion: deletion(`x-${n}`) }));
    peer.deletions.push({ seq: 251, deletion: deletion('a-9') });
    expect(await pullOnce(client, peer)).toMatchObject({ entries: 0, hasNewDatabase: false });
  });

  test('recognizes a last entry that was skipped because it is not valid', async () => {
    const { client, peer } = await startPair();
    for (const bad of [{ entry_id: 'bad', ts: 'never' }, 'no object', { ts: 1 }]) {
      const seq = peer.rows.length + 1;
      peer.rows.push(...rows(`a${seq}`, seq, 1), { seq: seq + 1, entry: bad });
      expect(await pullOnce(client, peer)).toMatchObject({ entries: 1, hasNewDatabase: false });
      const again = await pullOnce(client, peer);
      expect(again).toMatchObject({ entries: 0, duplicates: 0, hasNewDatabase: false });
      expect(again.invalid).toMatchObject({ entries: 0 });
    }
  });
});

describe('a pull from a peer with another history', () => {
  test.each([
    ['is new', rows('new', 1, 50)],
    ['is new and shorter', rows('new', 1, 3)],
    ['is empty', []],
    ['is an older copy with new entries', [...rows('a', 1, 4), ...rows('new', 5, 30)]],
    ['is an older copy', rows('a', 1, 4)],
    ['lost its last transactions', [...rows('a', 1, 9), ...rows('new', 10, 1)]],
  ])('that %s gets everything', async (_, newRows) => {
    const { client, peer } = await startPair();
    peer.rows = rows('a', 1, 10);
    await pullOnce(client, peer);
    client.store.insert(makeEntries(5, 'own'));
    client.store.acknowledge(peer.peerId, { cursor: 15, deleteCursor: 0 });
    peer.rows = newRows;
    const report = await pullOnce(client, peer);
    expect(report).toMatchObject({ error: undefined, hasNewDatabase: true });
    const fromPeer = newRows.map(({ entry }) => (entry as { entry_id: string }).entry_id);
    expect(idsOf(client)).toEqual(expect.arrayContaining(fromPeer));
    expect(idsOf(client)).toHaveLength(new Set(idsOf(client)).size);
    expect(
      client.database.sqlite.prepare('SELECT last_pushed_seq AS seq FROM peer_push_state').get(),
    ).toMatchObject({ seq: 0 });
  });

  test('resumes where it was cut off', async () => {
    const { client, peer } = await startPair();
    peer.rows = rows('a', 1, 10);
    await pullOnce(client, peer);
    peer.rows = rows('new', 1, 50);
    peer.answersLeft = 3;
    expect((await pullOnce(client, peer, 10)).error).toBeDefined();
    peer.answersLeft = Infinity;
    const report = await pullOnce(client, peer, 10);
    expect(report).toMatchObject({ error: undefined, hasNewDatabase: false, duplicates: 0 });
    expect(idsOf(client)).toHaveLength(60);
  });

  test('begins again once an hour, and is reported', async () => {
    const { client, peer } = await startPair();
    const [a, b] = [rows('a', 1, 10), rows('b', 1, 10)];
    const turns = [a, b, a, b];
    const results = [];
    for (const turn of turns) {
      peer.rows = turn;
      const { error, hasNewDatabase } = await pullOnce(client, peer);
      results.push([hasNewDatabase, error?.includes('identity key copied')]);
    }
    // The last turn is the device at whose history the cursor stands.
    expect(results).toEqual([
      [false, undefined],
      [true, undefined],
      [false, true],
      [false, undefined],
    ]);
    peer.rows = [...a, ...rows('c', 11, 1)];
    clock.unixSeconds += HOUR;
    expect(await pullOnce(client, peer)).toMatchObject({ error: undefined, hasNewDatabase: true });
    expect(idsOf(client)).toContain('c-0');
  });
});

test('deletions of which none is valid do not count as another history', async () => {
  const { client, peer } = await startPair();
  peer.rows = rows('a', 1, 10);
  await pullOnce(client, peer);
  peer.deletions = Array.from({ length: 120 }, (_, n) => ({ seq: n + 1, deletion: { entry_id: 7 } }));
  peer.rows.push(...rows('b', 11, 2));
  const report = await pullOnce(client, peer);
  expect(report).toMatchObject({ entries: 2, duplicates: 0, hasNewDatabase: false, error: undefined });
});

/** As if `rr` or an earlier version had moved the cursors. */
function forget({ database }: TestDevice): void {
  database.sqlite.exec('DELETE FROM rustory_p2p_pull_anchors');
}

describe('a cursor whose entry is not known', () => {
  test('is confirmed by an entry that is stored here, after all deletions', async () => {
    const { client, peer } = await startPair();
    peer.rows = rows('a', 1, 10);
    await pullOnce(client, peer);
    forget(client);
    peer.deletions = Array.from({ length: 230 }, (_, n) => ({ seq: n + 1, deletion: deletion(`x-${n}`) }));
    peer.rows.push(...rows('b', 11, 2));
    const report = await pullOnce(client, peer);
    expect(report).toMatchObject({ entries: 2, duplicates: 0, hasNewDatabase: false });
    expect(report.requests[0]).toMatchObject({ cursor: 9, limit: 1 });
    expect(report.requests.length).toBeLessThan(10);
    expect((await pullOnce(client, peer)).requests[0]).toMatchObject({ cursor: 11, limit: 100 });
  });

  test.each([
    ['another entry', rows('new', 1, 30)],
    ['an entry at another number', [...rows('a', 1, 9), ...rows('z', 11, 1)]],
    ['no entry', rows('a', 1, 4)],
  ])('leads to a start from 0 when there is %s', async (_, newRows) => {
    const { client, peer } = await startPair();
    peer.rows = rows('a', 1, 10);
    await pullOnce(client, peer);
    forget(client);
    peer.rows = newRows;
    expect(await pullOnce(client, peer)).toMatchObject({ error: undefined, hasNewDatabase: true });
    expect(idsOf(client)).toEqual(
      expect.arrayContaining(newRows.map(({ entry }) => (entry as { entry_id: string }).entry_id)),
    );
  });
});

test('two processes that pull from one peer lose nothing, also when the history is a new one', async () => {
  const { client, peer } = await startPair();
  peer.rows = rows('a', 1, 40);
  await pullOnce(client, peer, 7);
  peer.rows = rows('new', 1, 60);
  const database = openDatabase(client.database.path, () => 0);
  const other: TestDevice = { ...client, database, store: createStore(database) };
  const reports = await Promise.all([pullOnce(client, peer, 7), pullOnce(other, peer, 7)]);
  database.close();
  expect(reports.filter(({ error }) => error === undefined)).not.toEqual([]);
  await pullOnce(client, peer, 7);
  expect(idsOf(client)).toHaveLength(100);
  expect(client.store.cursorsOf(peer.peerId).cursor).toBe(60);
});

const answer = (name: string, from: number, count: number) => {
  const entries = makeEntries(count, name);
  const ids = entries.map(({ entry_id: id }) => id);
  const nextCursor = from + count - 1;
  return { entries, ids, nextCursor, deletions: [], nextDeleteCursor: undefined, invalid: [] };
};

test('a position that another process moved is checked before it is used', async () => {
  const { client, peer } = await startPair();
  peer.rows = rows('a', 1, 10);
  await pullOnce(client, peer);
  peer.rows.push(...rows('more', 11, 10));
  // The other process was connected to a device with a copy of the identity, which has another history.
  const other = createPullPosition(client.store, peer.peerId, () => clock.unixSeconds);
  const first = client.store.positionOf(peer.peerId);
  client.store.insertPage(answer('copy', 1, 15), { peerId: peer.peerId, cursor: 15, entryId: 'copy-14' });
  expect(first.cursor).toBe(10);
  expect(other.request(5)).toMatchObject({ cursor: 9 });
  other.store({ ...answer('a', 10, 1), ids: ['a-9'] });
  other.store(answer('more', 11, 5));
  // Not 15: the entries 11 to 15 of this history would be lost.
  expect(other.request(5)).toMatchObject({ cursor: 14 });
});
