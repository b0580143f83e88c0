// The order in which the peers have their turns in a round, and the pauses after failures. The aim is that no peer, and
// no number of peers, keeps the others from being synced.
import { hash } from 'node:crypto';
import type { Turn, TurnState } from '../discovery/peer-turns.ts';
import type { Target } from '../network/dial.ts';
import type { PullReport } from './pull.ts';
import type { TurnTimes } from './round-budget.ts';

/** Pause after the first failure of a peer in seconds: a relay restarts within this time. It doubles with each further one. */
const BACKOFF_BASE_SECONDS = 10;

/** Maximum pause in seconds. */
const BACKOFF_MAX_SECONDS = 600;

/**
 * Maximum pause in seconds after a refusal. The cause is often on this side, for example a registration that was refused
 * and succeeds later.
 */
const REFUSED_MAX_SECONDS = 60;

/** Turns in which the history of a peer may continue without a pause: about half a gigabyte. */
const FREE_UNFINISHED_TURNS = 8;

/**
 * Time in seconds without a registration after which the next one is a new one. A device that is on registers at least
 * twice within the 60 seconds after which a tracker forgets it.
 */
const REGISTRATION_GAP_SECONDS = 60;

/** Interval in seconds at which `rr` renews a registration, the longest one of all devices. */
const RENEWAL_SECONDS = 30;

/** Duration of a complete turn in milliseconds above which a peer is no longer preferred. */
const SLOW_MS = 5_000;

/** Concurrent turns, because pulls share one network connection and one database. */
export const CONCURRENT_PULLS = 4;

/**
 * Maximum concurrent attempts to connect to peers that are not preferred. Each dials up to 16 addresses, and a process
 * may have a thousand open files.
 */
const MAX_CONCURRENT_DIALS = 32;

/** Peers that are not preferred for each concurrent attempt, so that a relay with few circuits is not used up. */
const PEERS_PER_DIAL = 8;

/** The time in milliseconds in which all peers have a turn, as far as the minimum times allow. */
const PASS_MS = 120_000;

/** The times of a turn in a round with few peers: those of `rr`, which has 30 s for each peer. */
const FULL_TIMES: TurnTimes = { dialMs: 10_000, turnMs: 30_000, abortMs: 30_000 };

/** Minimum times of a turn, however many peers there are. A device that is on connects within a second or two. */
const MIN_DIAL_MS = 3_000;
const MIN_TURN_MS = 1_000;
const MIN_ABORT_MS = 5_000;

/** Maximum peers for which every turn has the full times. */
const FEW_PEERS = 16;

/** Maximum times with more peers, in milliseconds. */
const MANY_PROBE_MS = 10_000;
const MANY_TURN_MS = 2_500;

/**
 * Time in milliseconds for which a connected peer waits for its pull. A device closes a connection that is idle for ten
 * seconds.
 */
export const CONNECTED_WAIT_MS = 8_000;

/** A peer of a round. What a tracker lists is absent for one that the user names. */
export interface RoundTarget extends Target {
  readonly userId?: string | undefined;
  readonly deviceId?: string | undefined;
  readonly lastSeenUnixSeconds?: number;
  readonly isHub?: boolean;
}

export interface RoundPlan {
  /** Peers whose last turn completed quickly. */
  readonly first: readonly RoundTarget[];
  /** All others, in the order of their turns. */
  readonly others: readonly RoundTarget[];
  /** Peers that have no turn in this round, because they failed recently. */
  readonly waiting: readonly RoundTarget[];
}

export interface PlanContext {
  readonly turns: ReadonlyMap<string, Turn>;
  /** Peers with which a pull has completed, also before there were records of turns. */
  readonly knownGood: ReadonlySet<string>;
  /** Whether peers that failed recently have a turn too, after all others. */
  readonly includesWaiting: boolean;
  readonly nowUnixSeconds: number;
  /** Random number from 0 to 1. */
  readonly random: () => number;
}

/**
 * Peers that completed their last turn come first, those with the oldest turn at the front. Then the known ones that did
 * not, and the unknown ones, in turn: neither a known device that is down nor any number of new peers takes all turns.
 * Of the unknown ones those with a circuit and the others alternate too, because a relay answers at once whether it can
 * reach a device, and an address that does not answer costs the whole time to connect.
 */
export function planRound(targets: readonly RoundTarget[], context: PlanContext): RoundPlan {
  const { turns, knownGood, includesWaiting, random } = context;
  const first: RoundTarget[] = [];
  const known: RoundTarget[] = [];
  const unknown: RoundTarget[] = [];
  const waiting: RoundTarget[] = [];
  for (const target of targets) {
    const turn = turns.get(target.peerId);
    if (isWaiting(target, turn, context)) waiting.push(target);
    else if (!knownGood.has(target.peerId)) unknown.push(target);
    else (turn === undefined || turn.state === 'ok' ? first : known).push(target);
  }
  // Random among equals, so that ever new peer ids give nobody an earlier turn.
  const inOrder = (peers: readonly RoundTarget[]): RoundTarget[] =>
    peers
      .map((target) => ({ target, turn: turns.get(target.peerId)?.turn ?? 0, tie: random() }))
      .toSorted((a, b) => a.turn - b.turn || a.tie - b.tie)
      .map(({ target }) => target);
  const [withCircuit, direct] = [unknown.filter(listsCircuit), unknown.filter((peer) => !listsCircuit(peer))];
  const others = alternate(inOrder(known), alternate(inOrder(withCircuit), inOrder(direct)));
  if (!includesWaiting) return { first: inOrder(first), others, waiting };
  return { first: inOrder(first), others: [...others, ...inOrder(waiting)], waiting: [] };
}

function listsCircuit({ addresses }: RoundTarget): boolean {
  return addresses.some((address) => address.includes('/p2p-circuit'));
}

function alternate<T>(a: readonly T[], b: readonly T[]): T[] {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, index) =>
    [a[index], b[index]].filter((item) => item !== undefined),
  ).flat();
}

function isWaiting(
  target: RoundTarget,
  turn: Turn | undefined,
  { nowUnixSeconds }: Pick<PlanContext, 'nowUnixSeconds'>,
): boolean {
  if (turn === undefined || target.lastSeenUnixSeconds === undefined) return false;
  const waitSeconds = turn.retryAtUnixSeconds - nowUnixSeconds;
  // A longer wait is impossible: the clock was set back.
  return (
    waitSeconds > 0 && waitSeconds <= BACKOFF_MAX_SECONDS && !isNewRegistration(target, turn, nowUnixSeconds)
  );
}

/**
 * Whether the device has registered anew since it was last listed. The renewals of one that is always on do not count: they
 * are as far apart as the lists, or one interval more.
 */
function isNewRegistration(target: RoundTarget, turn: Turn, nowUnixSeconds: number): boolean {
  const sinceListSeconds = nowUnixSeconds - turn.listedUnixSeconds;
  return (
    registrationOf(target) !== turn.registration ||
    (target.lastSeenUnixSeconds ?? 0) - turn.seenUnixSeconds >
      Math.max(REGISTRATION_GAP_SECONDS, sinceListSeconds + RENEWAL_SECONDS)
  );
}

function registrationOf({ addresses, deviceId }: RoundTarget): string {
  return hash('sha256', JSON.stringify([deviceId ?? null, addresses.toSorted()]), 'base64url');
}

/** The number of concurrent attempts to connect, and the times of a turn, when this many peers are not preferred. */
export function timesFor(others: number): { readonly dials: number; readonly times: TurnTimes } {
  if (others <= FEW_PEERS) return { dials: CONCURRENT_PULLS, times: FULL_TIMES };
  const dials = Math.min(
    MAX_CONCURRENT_DIALS,
    Math.max(CONCURRENT_PULLS, Math.ceil(others / PEERS_PER_DIAL)),
  );
  // All that are connected at the same time have their turn before one of them has waited for too long.
  const maxTurnMs = Math.min(MANY_TURN_MS, (CONNECTED_WAIT_MS * CONCURRENT_PULLS) / dials);
  const share = (concurrent: number, min: number, max: number): number =>
    Math.round(Math.min(max, Math.max(min, (PASS_MS * concurrent) / others)));
  return {
    dials,
    times: {
      dialMs: share(dials, MIN_DIAL_MS, FULL_TIMES.dialMs),
      probeMs: share(dials, MIN_ABORT_MS, MANY_PROBE_MS),
      turnMs: share(CONCURRENT_PULLS, MIN_TURN_MS, maxTurnMs),
      abortMs: share(CONCURRENT_PULLS, MIN_ABORT_MS, FULL_TIMES.abortMs),
    },
  };
}

/**
 * The times of a peer. A request with a cursor that is not answered in time counts against the peer for an hour (see
 * cursor-guard.ts), so only one from the start is aborted earlier, and a peer with a cursor has answered before.
 */
export function timesOf(
  isFirst: boolean,
  isAtStart: boolean,
  { times }: ReturnType<typeof timesFor>,
): TurnTimes {
  if (isFirst) return FULL_TIMES;
  return isAtStart ? times : { ...times, abortMs: FULL_TIMES.abortMs, probeMs: undefined };
}

/** The records of turns after a round. Its peers were listed before it. */
export function recordTurns(
  reports: readonly PullReport[],
  targets: readonly RoundTarget[],
  {
    turns,
    nowUnixSeconds,
    listedUnixSeconds,
  }: Pick<PlanContext, 'turns' | 'nowUnixSeconds'> & Pick<Turn, 'listedUnixSeconds'>,
): Turn[] {
  const targetById = new Map(targets.map((target) => [target.peerId, target]));
  let last = Math.max(0, ...[...turns.values()].map(({ turn }) => turn));
  return reports.flatMap((report) => {
    const target = targetById.get(report.peerId);
    if (target === undefined) return [];
    last += 1;
    const before = turns.get(report.peerId);
    const state = stateOf(report);
    const hasEnded = state === 'ok' || state === 'slow';
    const misses = hasEnded ? 0 : missesAfter(before, state);
    const pause = before !== undefined && before.state !== state ? 1 : misses;
    return {
      peerId: report.peerId,
      turn: last,
      state,
      hasCompleted: hasEnded ? 1 : (before?.hasCompleted ?? 0),
      misses,
      retryAtUnixSeconds: hasEnded
        ? 0
        : nowUnixSeconds + pauseSeconds(report, state, state === 'failed' ? pause : misses),
      registration: registrationOf(target),
      seenUnixSeconds: target.lastSeenUnixSeconds ?? 0,
      listedUnixSeconds,
    };
  });
}

function withoutPause(turn: Turn): Turn {
  return { ...turn, retryAtUnixSeconds: 0 };
}

/** How the pull of a turn ended. A push that did not complete has pauses of its own, see push-pauses.ts. */
function stateOf({ error, isUnfinished, durationMs, push }: PullReport): TurnState {
  if (error !== undefined) return 'failed';
  if (isUnfinished) return 'unfinished';
  return durationMs + (push?.durationMs ?? 0) > SLOW_MS ? 'slow' : 'ok';
}

/** Turns of either kind count, so that no peer gets free turns by failing now and then. */
function missesAfter(before: Turn | undefined, state: TurnState): number {
  if (before === undefined) return 1;
  return state === 'failed' && before.state === 'unfinished' ? before.misses : before.misses + 1;
}

function pauseSeconds({ isRefused }: PullReport, state: TurnState, misses: number): number {
  const failures = state === 'unfinished' ? misses - FREE_UNFINISHED_TURNS : misses;
  if (failures <= 0) return 0;
  const max = isRefused ? REFUSED_MAX_SECONDS : BACKOFF_MAX_SECONDS;
  return Math.min(BACKOFF_BASE_SECONDS * 2 ** (failures - 1), max);
}

/**
 * The records of the peers that wait, with what their registrations show: a renewal is noted, and a peer that no tracker
 * lists any more has its turn as soon as it is listed again.
 *
 * @param listed all registered devices; `undefined` when not all of them are known
 */
export function recordWaiting(
  waiting: readonly RoundTarget[],
  listed: readonly RoundTarget[] | undefined,
  { turns, nowUnixSeconds }: Pick<PlanContext, 'turns' | 'nowUnixSeconds'>,
): Turn[] {
  const renewed = waiting.flatMap(({ peerId, lastSeenUnixSeconds = 0 }) => {
    const turn = turns.get(peerId);
    return turn === undefined
      ? []
      : { ...turn, seenUnixSeconds: lastSeenUnixSeconds, listedUnixSeconds: nowUnixSeconds };
  });
  if (listed === undefined) return renewed;
  const ids = new Set(listed.map(({ peerId }) => peerId));
  const absent = [...turns.values()]
    .filter(({ peerId, retryAtUnixSeconds }) => retryAtUnixSeconds > nowUnixSeconds && !ids.has(peerId))
    .map(withoutPause);
  return [...renewed, ...absent];
}
