// One turn of a peer in a round: connects, checks that the peer answers if many unknown peers wait, and pulls when it is
// its time. Then it pushes over the same connection.
import { describeError } from '../../shared/errors.ts';
import { anySignal } from '../../shared/signals.ts';
import { DatabaseError } from '../history/database.ts';
import { type Dialed, DialFailedError, type Target } from '../network/dial.ts';
import { releaseConnection } from './connection.ts';
import { NONE_INVALID, sumInvalid } from './invalid-items.ts';
import { pull, type PullDeps, type PullOptions, type PullProgress, type PullReport } from './pull.ts';
import { type PushDeps, type PushReport, pushTo } from './push.ts';
import { type OwnMembership, probe } from './request.ts';
import { isRefusal } from './retry.ts';
import type { RoundBudget, TurnBudget, TurnTimes } from './round-budget.ts';
import type { Semaphore } from './semaphore.ts';
import type { RoundTarget } from './round-plan.ts';
import { type Session, startSession } from './session.ts';
import { MessageTooLargeError } from './stream-io.ts';

/** Maximum bytes of the answer to a probe that are read. */
const PROBE_BYTES = 64 * 1024;

/**
 * The part of the time of a turn in which a pull requests pages when a push follows. Otherwise a device that pulls a large
 * history for the first time would push nothing until it is complete.
 */
const PULL_SHARE = 2 / 3;

export interface TurnDeps extends PullDeps {
  /** What is pushed; absent when nothing is. */
  readonly push?: PushDeps | undefined;
}

/** What was transferred with a peer, or with all of them. */
export interface TurnProgress extends PullProgress {
  /** Entries and deletions that were pushed. */
  readonly pushed: number;
}

export interface TurnOptions extends Pick<PullOptions, 'limit'> {
  readonly times: TurnTimes;
  readonly budget: RoundBudget;
  /** The permits of concurrent pulls. */
  readonly permits: Semaphore;
  readonly signal: AbortSignal;
  /**
   * Whether the pull of this peer is complete in this round, and only the push continues. Another pull would bring back
   * what was pushed.
   */
  readonly continuesPush?: boolean;
  readonly onProgress?: (progress: TurnProgress) => void;
}

/**
 * Runs one turn. Resolves to `undefined` when the peer had to wait for too long after it was connected, and has to be
 * connected again later. @throws DatabaseError
 */
export async function runTurn(
  target: RoundTarget,
  deps: TurnDeps,
  options: TurnOptions,
): Promise<PullReport | undefined> {
  const { peerId } = target;
  const { times, permits, signal } = options;
  const startedMs = deps.nowMs();
  let dialed: Dialed | undefined;
  try {
    dialed = await deps.dialer.connect(target, times.dialMs, signal);
    if (times.probeMs !== undefined) await checkAnswers(dialed, times.probeMs, deps.own, signal);
    const permit = await permits.acquire(peerId, signal);
    signal.throwIfAborted();
    if (permit.ok) {
      try {
        return await syncConnected(target, dialed, deps, options);
      } finally {
        permit.release();
      }
    }
    await releaseConnection({ dialed });
    return undefined;
  } catch (error) {
    // Its connection is closed already.
    if (error instanceof DatabaseError) throw error;
    await releaseConnection({ dialed });
    const { cursor } = deps.store.cursorsOf(peerId);
    return {
      ...failedReport(target, error, deps.nowMs() - startedMs),
      address: dialed?.address,
      nextCursor: cursor,
    };
  }
}

/** Pulls from a connected peer, then pushes to it, in the time of one turn. @throws DatabaseError */
async function syncConnected(
  target: RoundTarget,
  dialed: Dialed,
  deps: TurnDeps,
  { limit, times, budget, signal, continuesPush = false, onProgress = () => {} }: TurnOptions,
): Promise<PullReport> {
  const { peerId } = target;
  const { push } = deps;
  const session = startSession(target, deps, { signal, dialed, timeMs: times.abortMs });
  const turnBudget = budget.startTurn(peerId, times);
  const pullTimes = { ...times, turnMs: times.turnMs * PULL_SHARE };
  let [entries, bytes, pushed] = [0, 0, 0];
  const report = (): void => onProgress({ entries, bytes, pushed });
  try {
    const options = {
      limit,
      session,
      budget: push === undefined ? turnBudget : budget.startTurn(peerId, pullTimes),
      onProgress: (progress: PullProgress) => {
        ({ entries, bytes } = progress);
        report();
      },
    };
    const pulled = continuesPush ? emptyReport(target, deps, session) : await pull(target, deps, options);
    // Without a complete answer it is not known whether the peer still has the database of the cursors.
    if (push === undefined || pulled.error !== undefined || session.signal.aborted) return pulled;
    const pushReport = await pushTo(session, push, deps, {
      limit,
      userId: target.userId,
      budget: turnBudget,
      onProgress: (progress) => {
        pushed = progress.entries + progress.deletions;
        report();
      },
    });
    const anchored = await anchorFirstPush(target, deps, session, pushReport, { limit, turnBudget });
    return { ...(anchored === undefined ? pulled : withAnchor(pulled, anchored)), push: pushReport };
  } finally {
    await session.release();
  }
}

/**
 * After the first push to a peer that had nothing, requests a single entry. It is remembered as the position in the database
 * of the peer, which shows later whether the peer still has what it acknowledged. A failure has no consequence.
 *
 * @throws DatabaseError
 */
async function anchorFirstPush(
  target: Target,
  deps: TurnDeps,
  session: Session,
  { entries, deletions }: PushReport,
  { limit, turnBudget }: { readonly limit: number; readonly turnBudget: TurnBudget },
): Promise<PullReport | undefined> {
  const hasAnchor = (): boolean => deps.store.cursorsOf(target.peerId).cursor > 0;
  if (hasAnchor() || entries === 0 || session.signal.aborted) return undefined;
  const budget = { ...turnBudget, isSpent: () => hasAnchor() || turnBudget.isSpent() };
  // Deletions come before the entry.
  const report = await pull(target, deps, { limit: deletions === 0 ? 1 : limit, session, budget });
  return report.error === undefined ? report : undefined;
}

/** An entry that this device has pushed a moment ago is not counted. */
function withAnchor(pulled: PullReport, anchored: PullReport): PullReport {
  const { entries, duplicates, deleted, nextCursor } = anchored;
  if (entries === duplicates && deleted === 0) return { ...pulled, nextCursor };
  return mergeReports(pulled, { ...anchored, isUnfinished: pulled.isUnfinished });
}

/**
 * Checks that a peer answers requests, with a probe whose answer is thrown away.
 *
 * @throws NotMemberError, or why it does not answer
 */
async function checkAnswers(
  { connection }: Dialed,
  probeMs: number,
  own: OwnMembership,
  signal: AbortSignal,
): Promise<void> {
  const deadline = AbortSignal.timeout(probeMs);
  const options = {
    idleTimeoutMs: probeMs,
    signal: anySignal(signal, deadline),
    maxResponseBytes: PROBE_BYTES,
  };
  try {
    await probe(connection, own, options);
  } catch (error) {
    // It has a large entry, so it answers.
    if (error instanceof MessageTooLargeError) return;
    throw deadline.aborted ? new Error(`The peer did not answer within ${probeMs / 1_000} s.`) : error;
  }
}

/** The report of a turn that only pushes. */
function emptyReport({ peerId }: Target, { store }: TurnDeps, { address }: Session): PullReport {
  const { cursor } = store.cursorsOf(peerId);
  return { ...NO_REPORT, peerId, address, nextCursor: cursor };
}

/** The report of a peer that was not pulled. */
function failedReport({ peerId }: Target, error: unknown, durationMs: number): PullReport {
  return {
    ...NO_REPORT,
    peerId,
    durationMs: Math.round(durationMs),
    isRefused: isRefusal(error),
    error: describeError(error),
    attempts: error instanceof DialFailedError ? error.attempts : [],
  };
}

/** A report of nothing. */
export const NO_REPORT: Omit<PullReport, 'peerId'> = {
  address: undefined,
  entries: 0,
  duplicates: 0,
  deleted: 0,
  invalid: NONE_INVALID,
  bytes: 0,
  durationMs: 0,
  nextCursor: 0,
  isUnfinished: false,
  hasNewDatabase: false,
  isRefused: false,
  error: undefined,
  attempts: [],
};

/** The report of a peer over several turns. */
export function mergeReports(earlier: PullReport | undefined, latest: PullReport): PullReport {
  if (earlier === undefined) return latest;
  return {
    ...latest,
    ...sum([earlier, latest]),
    address: latest.address ?? earlier.address,
    duplicates: earlier.duplicates + latest.duplicates,
    deleted: earlier.deleted + latest.deleted,
    invalid: sumInvalid(earlier.invalid, latest.invalid),
    durationMs: earlier.durationMs + latest.durationMs,
    hasNewDatabase: earlier.hasNewDatabase || latest.hasNewDatabase,
    push: mergePushes(earlier.push, latest.push),
  };
}

function mergePushes(
  earlier: PushReport | undefined,
  latest: PushReport | undefined,
): PushReport | undefined {
  if (earlier === undefined || latest === undefined) return latest ?? earlier;
  return {
    ...latest,
    entries: earlier.entries + latest.entries,
    deletions: earlier.deletions + latest.deletions,
    inserted: earlier.inserted + latest.inserted,
    bytes: earlier.bytes + latest.bytes,
    durationMs: earlier.durationMs + latest.durationMs,
  };
}

/** The sum of the progress of several pulls. */
export function sum(items: readonly PullProgress[]): PullProgress {
  return {
    entries: items.reduce((total, { entries }) => total + entries, 0),
    bytes: items.reduce((total, { bytes }) => total + bytes, 0),
  };
}

/** The same with what was pushed. */
export function sumProgress(items: readonly TurnProgress[]): TurnProgress {
  return { ...sum(items), pushed: items.reduce((total, { pushed }) => total + pushed, 0) };
}
