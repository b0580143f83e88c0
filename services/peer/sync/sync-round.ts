// One round of syncing: discovers the other devices, plans their turns, pulls from a few of them at a time and pushes to
// them, and remembers how the turns ended.
import { discover, type Discovery, type DiscoveryDeps } from '../discovery/discovery.ts';
import type { KnownPeer } from '../discovery/peer-book.ts';
import type { PeerTurns, Turn } from '../discovery/peer-turns.ts';
import { DatabaseError } from '../history/database.ts';
import type { PushStore, SyncChange } from '../history/push-store.ts';
import type { Target } from '../network/dial.ts';
import type { PullReport } from './pull.ts';
import { pullAll, type PullAllOptions, type PullAllResult } from './pull-queue.ts';
import { createRoundBudget, SYNC_LIMITS, WATCH_LIMITS } from './round-budget.ts';
import { type PlanContext, planRound, recordTurns, recordWaiting, type RoundTarget } from './round-plan.ts';
import type { TurnDeps } from './turn.ts';

export interface RoundDeps {
  readonly discovery: DiscoveryDeps;
  readonly pulls: TurnDeps;
  readonly turns: PeerTurns;
  /** Remembers when and how the syncs ended. */
  readonly syncs?: Pick<PushStore, 'record'> | undefined;
  /** Random number from 0 to 1. */
  readonly random: () => number;
  /** Whether the network of this device has changed since the last call, so that all failures may have ended. */
  readonly takeNetworkChange?: () => boolean;
}

export interface RoundOptions extends Omit<PullAllOptions, 'budget'> {
  /** Peers to sync with instead of all that are discovered. One without addresses gets those that are discovered. */
  readonly targets: readonly Target[] | undefined;
}

export interface Round extends PullAllResult, Pick<Discovery, 'problems' | 'warnings'> {
  /** Peers that had no turn, because they failed recently. */
  readonly waiting: readonly string[];
  /** Whether a peer has more entries, or had no turn, so that the next round has work at once. */
  readonly continues: boolean;
  /** Time until the first of the peers that failed may be pulled or pushed to again, in milliseconds; `undefined` without one. */
  readonly retryInMs: number | undefined;
}

/** A round that was not run. */
export const NO_ROUND: Round = {
  reports: [],
  skipped: [],
  postponed: [],
  waiting: [],
  continues: false,
  retryInMs: undefined,
  problems: [],
  warnings: [],
};

/**
 * Runs one round. A peer or a tracker that fails is reported, not thrown. A round with `untilComplete` is the only one of
 * its process: it also tries the peers that failed recently, after the others.
 *
 * @throws DatabaseError
 */
export async function syncRound(deps: RoundDeps, options: RoundOptions): Promise<Round> {
  const { pulls, turns, random, takeNetworkChange = () => false } = deps;
  const { untilComplete = false, signal } = options;
  if (takeNetworkChange()) {
    forgetFailures(turns);
    pulls.push?.pauses?.clear();
  }
  const { targets, problems, warnings, isComplete } = await findTargets(deps.discovery, options);
  const context: PlanContext = {
    turns: turns.all(),
    knownGood: turns.knownGood(),
    includesWaiting: untilComplete,
    nowUnixSeconds: pulls.nowUnixSeconds(),
    random,
  };
  const plan = planRound(targets, context);
  const budget = createRoundBudget(untilComplete ? SYNC_LIMITS : WATCH_LIMITS, pulls.nowMs);
  const result = await pullAll(plan, pulls, { ...options, budget });
  // An interrupted turn says nothing about the peer.
  const ended = signal.aborted ? result.reports.filter(({ error }) => error === undefined) : result.reports;
  const nowUnixSeconds = pulls.nowUnixSeconds();
  const records = [
    ...recordTurns(ended, targets, { ...context, nowUnixSeconds, listedUnixSeconds: context.nowUnixSeconds }),
    ...recordWaiting(plan.waiting, isComplete ? targets : undefined, context),
  ];
  turns.save(records);
  recordSyncs(result.reports, targets, deps);
  const continues =
    result.postponed.length > 0 ||
    result.reports.some(({ push }) => push?.state === 'unfinished') ||
    records.some(({ state, retryAtUnixSeconds: at }) => state === 'unfinished' && at <= nowUnixSeconds);
  const retriesMs = [...records, ...plan.waiting.flatMap(({ peerId }) => context.turns.get(peerId) ?? [])]
    .map(({ retryAtUnixSeconds }) => (retryAtUnixSeconds - nowUnixSeconds) * 1_000)
    .concat(pulls.push?.pauses?.retryInMs() ?? [])
    .filter((milliseconds) => milliseconds > 0);
  return {
    ...result,
    waiting: plan.waiting.map(({ peerId }) => peerId),
    continues,
    retryInMs: retriesMs.length === 0 ? undefined : retriesMs.reduce((a, b) => Math.min(a, b)),
    problems,
    warnings,
  };
}

/** Remembers when the pulls completed, how the pushes ended, and which peers are hubs. */
function recordSyncs(
  reports: readonly PullReport[],
  targets: readonly RoundTarget[],
  { syncs, pulls }: RoundDeps,
): void {
  const unixSeconds = pulls.nowUnixSeconds();
  const changes = reports.flatMap((report): SyncChange[] => {
    const { peerId, error, isUnfinished, push } = report;
    const isComplete = error === undefined && !isUnfinished;
    if (!isComplete && push === undefined) return [];
    const pushed =
      push === undefined || push.state === 'paused'
        ? {}
        : { push: { pushState: push.state, pushProblem: push.problem, unixSeconds } };
    return [{ peerId, ...(isComplete && { pulledUnixSeconds: unixSeconds }), ...pushed }];
  });
  const hubs = targets
    .filter(({ isHub }) => isHub === true)
    .map(({ peerId }): SyncChange => ({ peerId, hubUnixSeconds: unixSeconds }));
  try {
    syncs?.record([...changes, ...hubs]);
  } catch (error) {
    // A round does not fail because its end is not remembered.
    if (!(error instanceof DatabaseError)) throw error;
  }
}

/** Ends the pauses of all peers. In another network each of them may be reachable. */
function forgetFailures(turns: PeerTurns): void {
  const failed = [...turns.all().values()].filter(({ retryAtUnixSeconds }) => retryAtUnixSeconds > 0);
  turns.save(failed.map(withoutFailures));
}

function withoutFailures(turn: Turn): Turn {
  return { ...turn, misses: 0, retryAtUnixSeconds: 0 };
}

interface Targets extends Pick<Round, 'problems' | 'warnings'> {
  readonly targets: readonly RoundTarget[];
  /** Whether these are all devices that are registered. */
  readonly isComplete: boolean;
}

async function findTargets(
  discovery: DiscoveryDeps,
  { targets: given, signal }: RoundOptions,
): Promise<Targets> {
  // Also when the addresses of all targets are given, because devices answer only those that a tracker lists.
  const { peers, revoked, source, problems, warnings } = await discover(discovery, signal);
  if (given === undefined) {
    const targets = peers.map(toTarget);
    return { targets, problems, warnings, isComplete: source === 'trackers' && problems.length === 0 };
  }
  const named = new Map(given.map((target) => [target.peerId, withListed(target, peers)]));
  const refused = [...named.keys()].filter((peerId) => revoked.has(peerId));
  for (const peerId of refused) named.delete(peerId);
  const notes = refused.map((peerId) => `The device ${peerId} is revoked, so that it is not synced with.`);
  return { targets: [...named.values()], problems, warnings: [...warnings, ...notes], isComplete: false };
}

function toTarget(peer: KnownPeer): RoundTarget {
  return { ...peer, isListed: true };
}

/** A peer that the user names, with what a tracker lists about it. Addresses that are named replace those of the tracker. */
function withListed(target: Target, found: readonly KnownPeer[]): RoundTarget {
  const listed = found.find(({ peerId }) => peerId === target.peerId);
  if (listed === undefined) return target;
  const { userId, deviceId, isHub } = listed;
  const addresses = target.addresses.length > 0 ? target.addresses : listed.addresses;
  return { ...target, addresses, userId, deviceId, ...(isHub === true && { isHub }) };
}
