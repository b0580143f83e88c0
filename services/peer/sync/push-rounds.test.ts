// Pushes in rounds: to whom, what happens after failures and without time, and with a peer whose database is new.
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../../testing/cleanup.ts';
import { makeEntries } from '../../../testing/peer.ts';
import { pushRound, startPushPair } from '../../../testing/scripted-push.ts';
import { createStore } from '../history/store.ts';
import { createPushPauses } from './push-pauses.ts';

afterEach(cleanUp);

const deletedBy = { user_id: 'ada', device_id: 'laptop', deleted_at: 1_750_000_000 };
const idsOf = (items: ReadonlyArray<{ entry_id: string }>): string[] => items.map(({ entry_id: id }) => id);

test('nothing is pushed to a device that a tracker lists for another user', async () => {
  const { client, peer } = await startPushPair();
  client.store.insert(makeEntries(3));
  for (const [userId, state] of [
    ['bob', 'not allowed'],
    ['ada', 'ok'],
  ] as const)
    expect((await pushRound(client, peer, { target: { userId } })).push).toMatchObject({ state });
});

test('in a watch a refused push is repeated after pauses that grow, and the pulls go on', async () => {
  const { client, peer } = await startPushPair();
  client.store.insert(makeEntries(3));
  peer.member = undefined;
  let ms = 0;
  const pauses = createPushPauses(() => ms);
  const states: Array<string | undefined> = [];
  for (let round = 0; round < 12; round += 1) {
    const { push, report } = await pushRound(client, peer, { untilComplete: false, push: { pauses } });
    expect(report?.error).toBeUndefined();
    states.push(push?.state);
    ms += 30_000;
  }
  expect(states.filter((state) => state === 'refused')).toHaveLength(4);
  expect(states.filter((state) => state === 'paused')).toHaveLength(8);
  expect(peer.pulls.length).toBeGreaterThanOrEqual(12);
  peer.member = { userId: 'ada', deviceId: 'laptop' };
  ms += 600_000;
  expect((await pushRound(client, peer, { push: { pauses } })).push).toMatchObject({
    state: 'ok',
    entries: 3,
  });
});

test('a push that had no time left continues in the next round, which starts at once', async () => {
  const { client, peer } = await startPushPair();
  client.store.insert(makeEntries(50));
  let ms = 0;
  peer.intercept = () => {
    ms += 20_000;
    return undefined;
  };
  const options = { limit: 10, nowMs: () => ms };
  const first = await pushRound(client, peer, { ...options, untilComplete: false });
  expect(first.push).toMatchObject({ state: 'unfinished', entries: 20 });
  expect(first.round.continues).toBe(true);
  const second = await pushRound(client, peer, options);
  expect(second.push).toMatchObject({ state: 'ok', entries: 30 });
  expect(second.round.continues).toBe(false);
  expect(idsOf(peer.entries)).toEqual(idsOf(makeEntries(50)));
});

test('a one-shot sync continues a push in turns of its own, without pulling back what it has pushed', async () => {
  const { client, peer } = await startPushPair();
  client.store.insert(makeEntries(100));
  let ms = 0;
  peer.intercept = () => {
    ms += 20_000;
    return undefined;
  };
  const { push, report } = await pushRound(client, peer, { limit: 10, nowMs: () => ms });
  expect(push).toMatchObject({ state: 'ok', entries: 100 });
  expect(report).toMatchObject({ entries: 0, error: undefined });
  expect(peer.entries).toHaveLength(100);
  // That of the turn, and the one after the first push.
  expect(peer.pulls).toHaveLength(2);
});

test('nothing is pushed to a device that allowed_peers does not contain', async () => {
  const { client, peer } = await startPushPair();
  client.store.insert(makeEntries(3));
  const allowedPeers = new Set(['12D3KooWOther']);
  expect(await pushRound(client, peer, { push: { allowedPeers } })).toMatchObject({
    sent: [],
    push: { state: 'not allowed', problem: expect.stringContaining('allowed_peers') },
  });
  allowedPeers.add(peer.peerId);
  expect((await pushRound(client, peer, { push: { allowedPeers } })).push).toMatchObject({ state: 'ok' });
});

describe('a peer with a new database', () => {
  test('gets everything again', async () => {
    const { client, peer } = await startPushPair();
    client.store.insert(makeEntries(3));
    client.store.deleteEntries(['laptop-0'], deletedBy);
    await pushRound(client, peer);
    peer.entries.length = peer.deletions.length = 0;
    const { report, push } = await pushRound(client, peer);
    expect(report).toMatchObject({ hasNewDatabase: true });
    expect(push).toMatchObject({ state: 'ok', entries: 2, deletions: 1 });
    expect(idsOf(peer.entries)).toEqual(['laptop-1', 'laptop-2']);
  });

  test('that is found by another process during a push gets everything, too', async () => {
    const { client, peer } = await startPushPair();
    client.store.insert(makeEntries(30));
    const another = createStore(client.database);
    peer.intercept = () => {
      if (peer.pushes.length === 2) {
        peer.entries.length = 0;
        another.resetCursors(peer.peerId);
      }
      return undefined;
    };
    await pushRound(client, peer, { limit: 10 });
    expect(idsOf(peer.entries).toSorted()).toEqual(idsOf(makeEntries(30)).toSorted());
    expect(client.pushes.position(peer.peerId)).toMatchObject({ cursor: 30 });
  });
});

test('a peer that hides its history gets nothing twice', async () => {
  const { client, peer } = await startPushPair();
  peer.hidesHistory = true;
  client.store.insert(makeEntries(3));
  await pushRound(client, peer);
  expect((await pushRound(client, peer)).sent).toEqual([]);
});
