// Rounds with peers that never end, never answer or never let a connection complete. Honest devices are synced, every
// round ends, and the next one continues with the others.
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { peerIds } from '../../../testing/peer-ids.ts';
import { createTestPullDeps, makeEntries, startDevice, type TestDevice } from '../../../testing/peer.ts';
import { type PullHandler, startPullServer, writeJson } from '../../../testing/pull-server.ts';
import { startRrResponder } from '../../../testing/rr-responder.ts';
import { startTestTracker, type TestTracker } from '../../../testing/test-tracker.ts';
import { createPeerTurns } from '../discovery/peer-turns.ts';
import { toWire } from '../history/entry.ts';
import type { Target } from '../network/dial.ts';
import { SYNC_LIMITS, WATCH_LIMITS } from './round-budget.ts';
import { type RoundDeps, type RoundOptions, syncRound } from './sync-round.ts';

afterEach(cleanUp);

/** Time on the clock of the rounds that each page of an endless peer takes, in milliseconds. */
const PAGE_MS = 2_000;

interface Clock {
  ms: number;
}

/** A peer that always has one more page. */
const endless =
  (name: string, clock: Clock, bytes = 10): PullHandler =>
  async (stream, { cursor, limit }) => {
    clock.ms += PAGE_MS;
    const count = Math.min(limit, 20);
    const entries = Array.from({ length: count }, (_, n) => makeEntries(1, `${name}-${cursor + n}`, bytes))
      .flat()
      .map(toWire);
    await writeJson(stream, { entries, next_cursor: cursor + count });
  };

const honest =
  (name: string): PullHandler =>
  async (stream, { cursor }) =>
    writeJson(stream, {
      entries: makeEntries(3, name).slice(cursor).map(toWire),
      next_cursor: cursor < 3 ? 3 : null,
    });

const mute: PullHandler = async () => {};

/** Addresses of a server that accepts connections and never responds. */
async function startSilent(count: number): Promise<string[]> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    onCleanup(() => void socket.destroy());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '0.0.0.0', resolve);
  });
  onCleanup(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return Array.from({ length: count }, (_, n) => `/ip4/127.0.1.${n + 1}/tcp/${port}`);
}

function list(tracker: TestTracker, { peerId, addresses }: Target): void {
  tracker.put(peerId, addresses, { user_id: 'ada', device_id: peerId });
}

async function createRounds(tracker: TestTracker, clock: Clock) {
  const client = await startDevice();
  const deps: RoundDeps = {
    discovery: {
      trackers: [tracker.client],
      peerBook: client.peerBook,
      userId: 'ada',
      ownPeerId: client.peerId,
      nowUnixSeconds: () => 2_000_000_000 + Math.floor(clock.ms / 1_000),
    },
    pulls: {
      ...createTestPullDeps(client),
      nowMs: () => clock.ms,
      nowUnixSeconds: () => 2_000_000_000 + Math.floor(clock.ms / 1_000),
    },
    turns: createPeerTurns(client.database),
    random: Math.random,
  };
  const run = async (options: Partial<RoundOptions> = {}, change: Partial<RoundDeps> = {}) =>
    syncRound(
      { ...deps, ...change },
      { limit: 1_000, targets: undefined, signal: new AbortController().signal, ...options },
    );
  return { client, run };
}

const devicesOf = ({ database }: TestDevice): string[] =>
  database.sqlite
    .prepare("SELECT DISTINCT device_id FROM entries WHERE device_id LIKE 'honest%' ORDER BY 1")
    .all()
    .map((row) => String(row['device_id']));

const bytesOf = ({ database }: TestDevice): number =>
  Number(database.sqlite.prepare('SELECT sum(length(cmd)) AS n FROM entries').get()?.['n']);

describe('peers that always have one more page', () => {
  test('end a round of a watch in its time, and every honest device is synced in this round or the next', async () => {
    const [tracker, clock] = [await startTestTracker(), { ms: 0 }];
    for (let fake = 0; fake < 12; fake += 1)
      list(tracker, (await startPullServer(endless(`fake-${fake}`, clock))).target);
    for (let device = 0; device < 3; device += 1)
      list(tracker, (await startPullServer(honest(`honest-${device}`))).target);
    const { client, run } = await createRounds(tracker, clock);
    for (let round = 0; round < 2; round += 1) {
      const { continues, reports } = await run();
      expect(continues).toBe(true);
      expect(reports.filter(({ error }) => error !== undefined)).toEqual([]);
    }
    expect(devicesOf(client)).toEqual(['honest-0', 'honest-1', 'honest-2']);
    expect(clock.ms).toBeLessThan(4 * WATCH_LIMITS.roundMs);
  });

  test('end a one-shot sync, which says what is left', async () => {
    const [tracker, clock] = [await startTestTracker(), { ms: 0 }];
    const { target } = await startPullServer(endless('fake', clock));
    list(tracker, target);
    list(tracker, (await startPullServer(honest('honest'))).target);
    const { client, run } = await createRounds(tracker, clock);
    const { reports } = await run({ untilComplete: true });
    expect(reports.find(({ peerId }) => peerId === target.peerId)).toMatchObject({
      isUnfinished: true,
      error: undefined,
    });
    expect(devicesOf(client)).toEqual(['honest']);
    expect(clock.ms).toBeLessThan(SYNC_LIMITS.roundMs + 2 * PAGE_MS);
  });

  test('with known entries only end a one-shot sync earlier', async () => {
    const [tracker, clock] = [await startTestTracker(), { ms: 0 }];
    const known = makeEntries(20, 'known').map(toWire);
    const { target } = await startPullServer(async (stream, { cursor }) => {
      clock.ms += PAGE_MS;
      const entries = known.map((_, n) => known[(cursor + n) % known.length]);
      await writeJson(stream, { entries, next_cursor: cursor + entries.length });
    });
    list(tracker, target);
    const { run } = await createRounds(tracker, clock);
    expect((await run({ untilComplete: true })).reports).toMatchObject([{ isUnfinished: true }]);
    expect(clock.ms).toBeLessThan(SYNC_LIMITS.roundMs / 2);
  });

  test('store a limited number of bytes in a round', async () => {
    const [tracker, clock] = [await startTestTracker(), { ms: 0 }];
    const slow = endless('fake', clock, 1_000_000);
    const { target } = await startPullServer(async (stream, request) => {
      clock.ms -= PAGE_MS;
      return slow(stream, request);
    });
    list(tracker, target);
    const { client, run } = await createRounds(tracker, clock);
    await run();
    expect(bytesOf(client)).toBeLessThan(WATCH_LIMITS.peerBytes + 20_000_000);
  });

  test('have pauses after eight rounds, which grow', async () => {
    const [tracker, clock] = [await startTestTracker(), { ms: 0 }];
    list(tracker, (await startPullServer(endless('fake', clock))).target);
    const { run } = await createRounds(tracker, clock);
    for (let round = 0; round < 8; round += 1) expect(await run()).toMatchObject({ continues: true });
    expect(await run()).toMatchObject({ continues: false, retryInMs: 10_000 });
    expect(await run()).toMatchObject({ reports: [], waiting: [expect.any(String)] });
  });
});

describe('peers that never answer', () => {
  test('fail, and have no turn in the next round unless the network of this device has changed', async () => {
    const [tracker, clock] = [await startTestTracker(), { ms: 0 }];
    const [peerId = ''] = peerIds(1);
    list(tracker, { peerId, addresses: ['/ip4/127.0.0.1/tcp/9'] });
    const responder = await startRrResponder();
    responder.entries = 3;
    list(tracker, responder);
    const { run } = await createRounds(tracker, clock);
    expect((await run()).reports).toHaveLength(2);
    const second = await run();
    expect(second.reports).toEqual([expect.objectContaining({ peerId: responder.peerId, error: undefined })]);
    expect(second).toMatchObject({ waiting: [peerId], retryInMs: 10_000 });
    expect((await run({}, { takeNetworkChange: () => true })).reports).toHaveLength(2);
    expect((await run()).waiting).toEqual([peerId]);
    clock.ms += 10_000;
    expect((await run()).reports).toHaveLength(2);
  });

  test('are tried again at once when they register other addresses', async () => {
    const [tracker, clock] = [await startTestTracker(), { ms: 0 }];
    const { target } = await startPullServer(honest('honest'));
    list(tracker, { ...target, addresses: ['/ip4/127.0.0.1/tcp/9'] });
    const { client, run } = await createRounds(tracker, clock);
    await run();
    expect((await run()).waiting).toEqual([target.peerId]);
    list(tracker, target);
    await run();
    expect(devicesOf(client)).toEqual(['honest']);
  });

  test('are tried by a one-shot sync after all others, whenever they failed', async () => {
    const [tracker, clock] = [await startTestTracker(), { ms: 0 }];
    const [peerId = ''] = peerIds(1);
    list(tracker, { peerId, addresses: ['/ip4/127.0.0.1/tcp/9'] });
    const { run } = await createRounds(tracker, clock);
    await run();
    expect((await run({ untilComplete: true })).reports).toEqual([expect.objectContaining({ peerId })]);
  });

  test('do not delay a known device, however many they are', async () => {
    const [tracker, clock] = [await startTestTracker(), { ms: 0 }];
    const { target } = await startPullServer(honest('honest'));
    list(tracker, target);
    const { run } = await createRounds(tracker, clock);
    await run();
    const addresses = await startSilent(16);
    for (const peerId of peerIds(200)) list(tracker, { peerId, addresses });
    const { target: silent } = await startPullServer(mute);
    list(tracker, silent);
    const stopping = new AbortController();
    const done: string[] = [];
    await run({
      signal: stopping.signal,
      onReport: ({ peerId }) => {
        done.push(peerId);
        stopping.abort(new Error('The test has seen enough.'));
      },
    });
    expect(done[0]).toBe(target.peerId);
  });
});

test('a revoked device is not dialed, not even when the user names it', async () => {
  const [tracker, clock] = [await startTestTracker(), { ms: 0 }];
  const responder = await startRrResponder();
  list(tracker, responder);
  const { client, run } = await createRounds(tracker, clock);
  client.database.sqlite
    .prepare('INSERT INTO peer_revocations(peer_id, revoked_at) VALUES (?, 1)')
    .run(responder.peerId);
  expect(await run()).toMatchObject({ reports: [], skipped: [] });
  const named = await run({ targets: [responder] });
  expect(named.reports).toEqual([]);
  expect(named.warnings).toEqual([expect.stringContaining('is revoked')]);
  expect(responder.requests).toEqual([]);
});

test('the peers that have no turn in a round have theirs in the next one', async () => {
  const [tracker, clock] = [await startTestTracker(), { ms: 0 }];
  const asked: string[] = [];
  for (let device = 0; device < 12; device += 1) {
    const { target } = await startPullServer(async (stream, request) => {
      asked.push(target.peerId);
      // Each answer takes a third of the round.
      clock.ms += WATCH_LIMITS.roundMs / 3;
      return honest(`honest-${device}`)(stream, request);
    });
    list(tracker, target);
  }
  const { client, run } = await createRounds(tracker, clock);
  const first = await run();
  expect(first.postponed.length).toBeGreaterThan(0);
  expect(first).toMatchObject({ continues: true });
  const postponed = new Set(first.postponed);
  const before = asked.length;
  await run();
  expect(postponed.has(asked[before] ?? '')).toBe(true);
  for (let round = 0; round < 12 && devicesOf(client).length < 12; round += 1) await run();
  expect(devicesOf(client)).toHaveLength(12);
});
