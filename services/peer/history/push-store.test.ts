// The push cursors of a peer, which several processes move, among them `rr`.
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory, makeEntries } from '../../../testing/peer.ts';
import { type Database, openDatabase } from './database.ts';
import { createPushStore, type PushStore } from './push-store.ts';
import { createStore, type Store } from './store.ts';

const PEER = '12D3KooWPeer';
const OWNER = { userId: 'ada', deviceId: 'laptop' };

let database: Database;
let store: Store;
let pushes: PushStore;
/** The same file, opened by another process. */
let others: Store;

beforeEach(() => {
  const path = join(makeDirectory(), 'history.db');
  database = openDatabase(path, () => 0);
  const second = openDatabase(path);
  onCleanup(() => {
    database.close();
    second.close();
  });
  store = createStore(database);
  pushes = createPushStore(database);
  others = createStore(second);
  store.insert(makeEntries(100));
});

afterEach(cleanUp);

const cursorsOf = (): object => {
  const { cursor, deleteCursor } = pushes.position(PEER);
  return { cursor, deleteCursor };
};

describe('the push cursors', () => {
  test('move forward only, also when a pull of the peer has moved them further meanwhile', () => {
    const start = pushes.position(PEER);
    others.acknowledge(PEER, { cursor: 40 });
    expect(pushes.move(PEER, start, { cursor: 20, deleteCursor: 3 })).toBe(true);
    expect(cursorsOf()).toEqual({ cursor: 40, deleteCursor: 3 });
    expect(pushes.move(PEER, pushes.position(PEER), { cursor: 10 })).toBe(true);
    expect(cursorsOf()).toEqual({ cursor: 40, deleteCursor: 3 });
  });

  test.each([0, 20])(
    'do not move by an answer of the database that the peer had before, from position %i',
    (cursor) => {
      pushes.move(PEER, pushes.position(PEER), { cursor });
      const before = pushes.position(PEER);
      others.resetCursors(PEER);
      expect(pushes.move(PEER, before, { cursor: 60 })).toBe(false);
      expect(cursorsOf()).toEqual({ cursor: 0, deleteCursor: 0 });
      expect(pushes.move(PEER, pushes.position(PEER), { cursor: 60 })).toBe(true);
      expect(cursorsOf()).toEqual({ cursor: 60, deleteCursor: 0 });
    },
  );

  test('are 0 where another program stored what no database has', () => {
    database.sqlite.exec(`INSERT INTO peer_push_state VALUES ('${PEER}', -5), ('x', 'many')`);
    expect(cursorsOf()).toEqual({ cursor: 0, deleteCursor: 0 });
    expect(pushes.positions()).toEqual([
      { peerId: PEER, cursor: 0, deleteCursor: 0 },
      { peerId: 'x', cursor: 0, deleteCursor: 0 },
    ]);
  });

  test('tell how much of this device a peer does not have, also after rr moved them', () => {
    store.insert(makeEntries(5, 'desktop'));
    store.deleteEntries(['laptop-3', 'laptop-70'], { user_id: 'ada', device_id: 'laptop', deleted_at: 1 });
    database.sqlite.exec(`INSERT INTO peer_push_state VALUES ('${PEER}', 50)`);
    expect(pushes.backlog(OWNER, pushes.position(PEER))).toEqual({ entries: 49, deletions: 2 });
  });
});

test('the records of syncs are kept apart from each other, and from the cursors', () => {
  pushes.record([{ peerId: PEER, pulledUnixSeconds: 10 }]);
  const push = { pushState: 'refused', pushProblem: 'No.', unixSeconds: 20 } as const;
  pushes.record([{ peerId: PEER, push, hubUnixSeconds: 30 }]);
  others.resetCursors(PEER);
  expect(pushes.records().get(PEER)).toEqual({
    peerId: PEER,
    pulledUnixSeconds: 10,
    pushUnixSeconds: 20,
    pushState: 'refused',
    pushProblem: 'No.',
    hubUnixSeconds: 30,
  });
  pushes.record([{ peerId: PEER, push: { pushState: 'ok', pushProblem: undefined, unixSeconds: 40 } }]);
  expect(pushes.records().get(PEER)).toMatchObject({ pushState: 'ok', pushProblem: undefined });
});

test('the records of at most 4,096 peers are kept, those that were synced last', () => {
  pushes.record(Array.from({ length: 5_000 }, (_, n) => ({ peerId: `p${n}`, pulledUnixSeconds: n })));
  expect(pushes.records().size).toBe(4_096);
  expect(pushes.records().has('p4999')).toBe(true);
  expect(pushes.records().has('p0')).toBe(false);
});
