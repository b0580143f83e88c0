// Rounds of a device with a device of `rr` to which it pushes.
import { createPeerTurns } from '../services/peer/discovery/peer-turns.ts';
import { createPushStore, type Owner, type PushStore } from '../services/peer/history/push-store.ts';
import type { PushDeps } from '../services/peer/sync/push.ts';
import { type RoundOptions, syncRound } from '../services/peer/sync/sync-round.ts';
import type { RoundTarget } from '../services/peer/sync/round-plan.ts';
import { createTestPullDeps, startDevice, type TestDevice } from './peer.ts';
import { type PushTarget, startPushTarget } from './push-target.ts';

export const OWNER: Owner = { userId: 'ada', deviceId: 'laptop' };

/** The clock of the device that pushes. */
export const clock = { unixSeconds: 1_800_000_000 };

export interface Pusher extends TestDevice {
  readonly pushes: PushStore;
}

export async function startPusher(): Promise<Pusher> {
  const device = await startDevice();
  return { ...device, pushes: createPushStore(device.database) };
}

export async function startPushPair(): Promise<{ client: Pusher; peer: PushTarget }> {
  return { client: await startPusher(), peer: await startPushTarget() };
}

export interface PushRoundOptions extends Partial<Pick<RoundOptions, 'limit' | 'untilComplete'>> {
  readonly push?: Partial<PushDeps>;
  /** What a tracker says about the peer. */
  readonly target?: Partial<RoundTarget>;
  /** Monotonic clock of the device. */
  readonly nowMs?: () => number;
  /** Idle timeout of requests in milliseconds. Default: that of the other tests. */
  readonly idleTimeoutMs?: number;
}

const nowUnixSeconds = (): number => clock.unixSeconds;

/** One round with push, as of a new process: only the database is kept. */
export async function pushRound(client: Pusher, peer: PushTarget, options: PushRoundOptions = {}) {
  const { push, limit = 1_000, untilComplete = true, idleTimeoutMs } = options;
  const { pushes, peerBook, database, peerId: ownPeerId } = client;
  const sent = peer.pushes.length;
  const noPause = { sleep: async () => {} };
  const pulls = { ...createTestPullDeps(client), ...noPause, ...(options.nowMs && { nowMs: options.nowMs }) };
  const retry =
    idleTimeoutMs === undefined
      ? pulls.retry
      : { ...pulls.retry, timeoutBaseMs: idleTimeoutMs, timeoutCapMs: idleTimeoutMs };
  const round = await syncRound(
    {
      discovery: { trackers: [], peerBook, userId: 'ada', ownPeerId, nowUnixSeconds },
      pulls: { ...pulls, retry, nowUnixSeconds, push: { pushes, owner: OWNER, ...push } },
      syncs: pushes,
      turns: createPeerTurns(database),
      random: Math.random,
    },
    {
      limit,
      untilComplete,
      targets: [{ peerId: peer.peerId, addresses: peer.addresses, ...options.target }],
      signal: new AbortController().signal,
    },
  );
  const [report] = round.reports;
  return { round, report, push: report?.push, sent: peer.pushes.slice(sent) };
}
