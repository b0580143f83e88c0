import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { makeDirectory } from '../../../testing/peer.ts';
import { until } from '../../../testing/wait.ts';
import { createPeerBook, type KnownPeer } from '../discovery/peer-book.ts';
import { type TrackerClient, TrackerError } from '../discovery/tracker-client.ts';
import { openDatabase } from '../history/database.ts';
import { createMembership } from './membership.ts';

afterEach(cleanUp);

const UNKNOWN = { ok: false, reason: 'no tracker lists the peer for this user' };
const LATE = { ok: false, reason: 'no tracker answered in time' };

const peerOf = (peerId: string, userId: string | undefined = 'ada'): KnownPeer => ({
  peerId,
  addresses: [],
  userId,
  deviceId: `device of ${peerId}`,
  hostname: undefined,
  lastSeenUnixSeconds: 1_700_000_000,
});

/** A tracker that answers with the peers in `listed`, or as `answer` says, and counts its list requests. */
function createTracker(answer?: () => Promise<readonly KnownPeer[]>) {
  const tracker = {
    listed: [] as KnownPeer[],
    requests: 0,
    list: async () => {
      tracker.requests += 1;
      return { peers: answer === undefined ? [...tracker.listed] : await answer(), skipped: 0 };
    },
  };
  return tracker;
}

function createMembers(trackers: ReadonlyArray<ReturnType<typeof createTracker>>) {
  const database = openDatabase(join(makeDirectory(), 'history.db'));
  onCleanup(() => database.close());
  const peerBook = createPeerBook(database);
  const revoked = new Set<string>();
  // A clock that only the test moves, so that no time-out depends on the speed of the machine.
  const clock = { nowMs: 1_000_000 };
  const membership = createMembership({
    trackers: trackers as unknown as TrackerClient[],
    peerBook,
    isRevoked: (peerId) => revoked.has(peerId),
    userId: 'ada',
    nowMs: () => clock.nowMs,
  });
  onCleanup(() => membership.stop());
  return { ...membership, peerBook, revoked, clock };
}

describe('a requester', () => {
  test('in the peer book is a member, also when no tracker answers', async () => {
    const tracker = createTracker(async () => Promise.reject(new TrackerError('The tracker is down.')));
    const { check, peerBook } = createMembers([tracker]);
    peerBook.remember([peerOf('known')]);
    expect(await check('known')).toEqual({
      ok: true,
      member: { userId: 'ada', deviceId: 'device of known' },
    });
    expect(tracker.requests).toBe(0);
  });

  test.each([undefined, 'bob'])('in the peer book with the user %p is looked up', async (userId) => {
    const tracker = createTracker();
    const { check, peerBook, isKnown } = createMembers([tracker]);
    peerBook.remember([{ ...peerOf('known'), userId }]);
    expect(isKnown('known')).toBe(false);
    tracker.listed.push(peerOf('known'));
    expect(await check('known')).toMatchObject({ ok: true });
    expect(tracker.requests).toBe(1);
    expect(isKnown('known')).toBe(true);
  });

  test('is a member while another tracker has not answered', async () => {
    const silent = createTracker(async () => new Promise(() => {}));
    const tracker = createTracker();
    tracker.listed.push(peerOf('listed'));
    const { check } = createMembers([silent, tracker]);
    expect(await check('listed')).toMatchObject({ ok: true });
  });

  test.each([
    ['another user', 'bob'],
    ['no user', undefined],
  ])('that a tracker lists with %s is refused', async (_, userId) => {
    const tracker = createTracker();
    tracker.listed.push({ ...peerOf('other'), userId });
    const { check } = createMembers([tracker]);
    expect(await check('other')).toEqual(UNKNOWN);
  });

  test('that was unknown is looked up again after five seconds', async () => {
    const tracker = createTracker();
    const { check, clock } = createMembers([tracker]);
    expect(await check('new')).toEqual(UNKNOWN);
    tracker.listed.push(peerOf('new'));
    expect(await check('new')).toEqual(UNKNOWN);
    expect(tracker.requests).toBe(1);
    clock.nowMs += 5_000;
    expect(await check('new')).toMatchObject({ ok: true });
  });

  test('is refused when no tracker answers, and the others are answered meanwhile', async () => {
    const tracker = createTracker(async () => new Promise(() => {}));
    const { check, peerBook } = createMembers([tracker]);
    peerBook.remember([peerOf('known')]);
    const order: string[] = [];
    const unknown = check('unknown').finally(() => order.push('unknown'));
    await until(() => tracker.requests === 1, 'the list is requested');
    await check('known').finally(() => order.push('known'));
    expect(await unknown).toEqual(LATE);
    expect(order).toEqual(['known', 'unknown']);
  });

  test('that is revoked is refused, although a tracker lists it, and is not written to the peer book', async () => {
    const tracker = createTracker();
    tracker.listed.push(peerOf('lost'), peerOf('other'));
    const { check, revoked, peerBook, isKnown } = createMembers([tracker]);
    revoked.add('lost');
    expect(await check('lost')).toEqual({ ok: false, reason: 'the peer is revoked' });
    expect(await check('other')).toMatchObject({ ok: true });
    expect(peerBook.find('lost')).toBeUndefined();
    expect(isKnown('lost')).toBe(false);
  });

  test('that registered after a list was requested waits for a newer list', async () => {
    const answers: Array<(peers: readonly KnownPeer[]) => void> = [];
    const tracker = createTracker(
      async () => new Promise<readonly KnownPeer[]>((resolve) => void answers.push(resolve)),
    );
    const { check, clock } = createMembers([tracker]);
    const first = check('first');
    await until(() => answers.length === 1, 'the list is requested');
    clock.nowMs += 1_000;
    const second = check('second');
    answers[0]?.([]);
    expect(await first).toEqual(UNKNOWN);
    await until(() => answers.length === 2, 'a newer list is requested');
    answers[1]?.([peerOf('second')]);
    expect(await second).toMatchObject({ ok: true });
  });

  test('is refused when this device has no tracker', async () => {
    expect(await createMembers([]).check('unknown')).toEqual(UNKNOWN);
  });
});

describe('many unknown requesters', () => {
  test('that arrive together cost one list request', async () => {
    const tracker = createTracker();
    tracker.listed.push(peerOf('peer 7'));
    const { check } = createMembers([tracker]);
    const results = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => check(`peer ${index}`)),
    );
    expect(results.filter(({ ok }) => ok)).toHaveLength(1);
    expect(tracker.requests).toBe(1);
  });

  test('are refused above a limit, so that they use bounded memory', async () => {
    const tracker = createTracker();
    const { check } = createMembers([tracker]);
    const results = await Promise.all(
      Array.from({ length: 300 }, async (_, index) => check(`peer ${index}`)),
    );
    expect(results.filter((result) => !result.ok && result.reason === 'too many unknown peers')).toHaveLength(
      44,
    );
  });
});

const accepts = ({ deviceId }: { readonly deviceId: string | undefined }) => deviceId === 'new name';

describe('a member that may have registered anew', () => {
  const renamed = { ...peerOf('known'), deviceId: 'new name' };

  test('is looked up although it is known, at every tracker until one has the new registration', async () => {
    const [stale, current] = [createTracker(), createTracker()];
    const { check, confirm, peerBook } = createMembers([stale, current]);
    peerBook.remember([peerOf('known')]);
    stale.listed = [peerOf('known')];
    current.listed = [renamed];
    const member = { userId: 'ada', deviceId: 'new name' };
    expect(await confirm('known', accepts)).toEqual({ ok: true, member });
    expect(await check('known')).toEqual({ ok: true, member });
  });

  test('stays a member when no tracker has it, or none answers', async () => {
    const tracker = createTracker();
    const { check, confirm, peerBook, revoked } = createMembers([tracker]);
    peerBook.remember([peerOf('known')]);
    tracker.listed = [peerOf('known')];
    expect(await confirm('known', accepts)).toEqual(UNKNOWN);
    expect(await check('known')).toMatchObject({ ok: true });
    revoked.add('known');
    expect(await confirm('known', accepts)).toMatchObject({ ok: false, reason: 'the peer is revoked' });
    const alone = createMembers([]);
    expect(await alone.confirm('known', accepts)).toEqual(UNKNOWN);
  });
});
