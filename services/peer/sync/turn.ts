// One turn of a peer in a round: connects, checks that the peer answers if many unknown peers wait, and pulls when it is
// its time.
import { describeError } from '../../shared/errors.ts';
import { anySignal } from '../../shared/signals.ts';
import { DatabaseError } from '../history/database.ts';
import { type Dialed, DialFailedError, type Target } from '../network/dial.ts';
import { releaseConnection } from './connection.ts';
import { NONE_INVALID, sumInvalid } from './invalid-items.ts';
import { pull, type PullDeps, type PullOptions, type PullProgress, type PullReport } from './pull.ts';
import { type OwnMembership, probe } from './request.ts';
import { isRefusal } from './retry.ts';
import type { RoundBudget, TurnTimes } from './round-budget.ts';
import type { Semaphore } from './semaphore.ts';
import { MessageTooLargeError } from './stream-io.ts';

/** Maximum bytes of the answer to a probe that are read. */
const PROBE_BYTES = 64 * 1024;

export interface TurnOptions extends Pick<PullOptions, 'limit' | 'onProgress'> {
  readonly times: TurnTimes;
  readonly budget: RoundBudget;
  /** The permits of concurrent pulls. */
  readonly permits: Semaphore;
  readonly signal: AbortSignal;
}

/**
 * Runs one turn. Resolves to `undefined` when the peer had to wait for too long after it was connected, and has to be
 * connected again later. @throws DatabaseError
 */
export async function runTurn(
  target: Target,
  deps: PullDeps,
  { times, budget, permits, ...options }: TurnOptions,
): Promise<PullReport | undefined> {
  const { peerId } = target;
  const { signal } = options;
  const startedMs = deps.nowMs();
  let dialed: Dialed | undefined;
  try {
    dialed = await deps.dialer.connect(target, times.dialMs, signal);
    if (times.probeMs !== undefined) await checkAnswers(dialed, times.probeMs, deps.own, signal);
    const permit = await permits.acquire(peerId, signal);
    signal.throwIfAborted();
    if (permit.ok) {
      try {
        return await pull(target, deps, { ...options, dialed, budget: budget.startTurn(peerId, times) });
      } finally {
        permit.release();
      }
    }
    await releaseConnection({ dialed });
    return undefined;
  } catch (error) {
    // Only a pull throws this error, and it has closed the connection.
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

/** The report of a peer that was not pulled. */
function failedReport({ peerId }: Target, error: unknown, durationMs: number): PullReport {
  return {
    peerId,
    address: undefined,
    entries: 0,
    duplicates: 0,
    deleted: 0,
    invalid: NONE_INVALID,
    bytes: 0,
    durationMs: Math.round(durationMs),
    nextCursor: 0,
    isUnfinished: false,
    hasNewDatabase: false,
    isRefused: isRefusal(error),
    error: describeError(error),
    attempts: error instanceof DialFailedError ? error.attempts : [],
  };
}

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
  };
}

/** The sum of the progress of several pulls. */
export function sum(items: readonly PullProgress[]): PullProgress {
  return {
    entries: items.reduce((total, { entries }) => total + entries, 0),
    bytes: items.reduce((total, { bytes }) => total + bytes, 0),
  };
}
