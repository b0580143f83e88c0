// Pulls from the peers of a round, a few at a time. Each turn has its limits; a peer that needs more waits for the others.
import { describeError } from '../../shared/errors.ts';
import { anySignal } from '../../shared/signals.ts';
import { type Dialed, DialFailedError, type Target } from '../network/dial.ts';
import { releaseConnection } from './connection.ts';
import { NONE_INVALID, sumInvalid } from './invalid-items.ts';
import { pull, type PullDeps, type PullProgress, type PullReport } from './pull.ts';
import { type OwnMembership, probe } from './request.ts';
import { isRefusal } from './retry.ts';
import type { RoundBudget } from './round-budget.ts';
import { CONCURRENT_PULLS, type RoundPlan, type RoundTarget, timesFor, timesOf } from './round-plan.ts';
import { createSemaphore } from './semaphore.ts';
import { MessageTooLargeError } from './stream-io.ts';

/**
 * Time in milliseconds for which a connected peer waits for its pull. A device closes a connection that is idle for ten
 * seconds.
 */
const CONNECTED_WAIT_MS = 8_000;

/** Maximum bytes of the answer to a probe that are read. */
const PROBE_BYTES = 64 * 1024;

export interface PullAllOptions {
  /** Maximum entries of one page. */
  readonly limit: number;
  readonly budget: RoundBudget;
  /**
   * Whether a peer whose turn ended continues after the others until its history is complete. Otherwise it is reported
   * as unfinished, and continues in the next round.
   */
  readonly untilComplete?: boolean;
  readonly signal: AbortSignal;
  /** Called with the sums over all peers. */
  readonly onProgress?: (progress: PullProgress) => void;
  readonly onReport?: (report: PullReport) => void;
}

export interface PullAllResult {
  /** In the order in which the turns ended. */
  readonly reports: readonly PullReport[];
  /** Peers that list no address to which this device can connect. */
  readonly skipped: readonly string[];
  /** Peers that had no turn, because the round has used up its time or its bytes. */
  readonly postponed: readonly string[];
}

/** Pulls from the peers of a plan, in their order. @throws DatabaseError */
export async function pullAll(
  plan: Pick<RoundPlan, 'first' | 'others'>,
  deps: PullDeps,
  options: PullAllOptions,
): Promise<PullAllResult> {
  const {
    limit,
    budget,
    untilComplete = false,
    signal,
    onProgress = () => {},
    onReport = () => {},
  } = options;
  const { store, dialer, nowMs } = deps;
  const first = [...plan.first];
  const others = [...plan.others];
  const firstIds = new Set(first.map(({ peerId }) => peerId));
  const turnTimes = timesFor(others.length);
  const permits = createSemaphore({
    maxPermits: CONCURRENT_PULLS,
    maxPermitsPerPeer: 1,
    maxQueued: turnTimes.dials,
    queueTimeoutMs: CONNECTED_WAIT_MS,
  });
  const failing = new AbortController();
  const stop = anySignal(signal, failing.signal);
  const reports: PullReport[] = [];
  const skipped: string[] = [];
  /** The reports of peers that continue. */
  const unfinished = new Map<string, PullReport>();
  const progressByPeer = new Map<string, PullProgress>();
  const firstStarted = Promise.withResolvers<void>();

  function take(): RoundTarget | undefined {
    if (stop.aborted || budget.isSpent()) return undefined;
    const target = first.shift() ?? others.shift();
    if (first.length === 0) firstStarted.resolve();
    return target;
  }

  /** Connects, and waits until the peer may be pulled. Resolves to `undefined` when the peer has to be dialed later. */
  async function runTurn(target: RoundTarget): Promise<PullReport | undefined> {
    const { peerId } = target;
    const { cursor, deleteCursor } = store.cursorsOf(peerId);
    const times = timesOf(firstIds.has(peerId), cursor === 0 && deleteCursor === 0, turnTimes);
    const startedMs = nowMs();
    let dialed: Dialed;
    try {
      dialed = await dialer.connect(target, times.dialMs, stop);
    } catch (error) {
      return failedReport(target, error, cursor, nowMs() - startedMs);
    }
    try {
      if (times.probeMs !== undefined) await checkAnswers(dialed, times.probeMs, deps.own, stop);
    } catch (error) {
      await releaseConnection({ dialed });
      const report = failedReport(target, error, cursor, nowMs() - startedMs);
      return { ...report, address: dialed.address, isRefused: isRefusal(error) };
    }
    const permit = await permits.acquire(peerId, stop);
    if (!permit.ok) {
      await releaseConnection({ dialed });
      return stop.aborted ? failedReport(target, stop.reason, cursor, nowMs() - startedMs) : undefined;
    }
    try {
      const earlier = unfinished.get(peerId);
      const report = await pull(target, deps, {
        limit,
        dialed,
        budget: budget.startTurn(peerId, times),
        signal: stop,
        onProgress: (progress) => {
          progressByPeer.set(peerId, sum(earlier === undefined ? [progress] : [earlier, progress]));
          onProgress(sum([...progressByPeer.values()]));
        },
      });
      return earlier === undefined ? report : merge(earlier, report);
    } finally {
      permit.release();
    }
  }

  async function pullNext(target: RoundTarget): Promise<void> {
    const { peerId } = target;
    // Not before its turn, because the addresses of a thousand peers take a second to parse.
    if (target.isListed === true && !dialer.canDial(target)) {
      skipped.push(peerId);
      return;
    }
    const report = await runTurn(target);
    if (report === undefined) {
      others.unshift(target);
      return;
    }
    if (report.isUnfinished && untilComplete && !budget.isPeerSpent(peerId) && !stop.aborted) {
      unfinished.set(peerId, report);
      others.push(target);
      return;
    }
    unfinished.delete(peerId);
    reports.push(report);
    onReport(report);
  }

  /** @param isFirst whether the worker also takes the peers that come first */
  async function work(isFirst: boolean): Promise<void> {
    if (!isFirst) await firstStarted.promise;
    for (let target = take(); target !== undefined; target = take()) await pullNext(target);
    firstStarted.resolve();
  }

  const count = Math.min(turnTimes.dials, first.length + others.length);
  const workers = Array.from({ length: count }, async (_, index) =>
    work(index < CONCURRENT_PULLS).catch((error: unknown) => {
      // No pull can store entries, so the other pulls end too.
      failing.abort(error);
      firstStarted.resolve();
      throw error;
    }),
  );
  await Promise.allSettled(workers);
  await Promise.all(workers);
  // What a peer has sent before the round ended is reported.
  for (const report of unfinished.values()) {
    reports.push(report);
    onReport(report);
  }
  const left = [...first, ...others].map(({ peerId }) => peerId);
  return {
    reports,
    skipped,
    postponed: stop.aborted ? [] : left.filter((peerId) => !unfinished.has(peerId)),
  };
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
  stop: AbortSignal,
): Promise<void> {
  const deadline = AbortSignal.timeout(probeMs);
  const options = {
    idleTimeoutMs: probeMs,
    signal: anySignal(stop, deadline),
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
function failedReport({ peerId }: Target, error: unknown, cursor: number, durationMs: number): PullReport {
  return {
    peerId,
    address: undefined,
    entries: 0,
    duplicates: 0,
    deleted: 0,
    invalid: NONE_INVALID,
    bytes: 0,
    durationMs: Math.round(durationMs),
    nextCursor: cursor,
    isUnfinished: false,
    hasNewDatabase: false,
    isRefused: false,
    error: describeError(error),
    attempts: error instanceof DialFailedError ? error.attempts : [],
  };
}

/** The report of a peer over several turns. */
function merge(earlier: PullReport, latest: PullReport): PullReport {
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
