// Syncs with the peers of a round, a few at a time. Each turn has its limits; a peer that needs more waits for the others.
import { anySignal } from '../../shared/signals.ts';
import type { PullReport } from './pull.ts';
import type { RoundBudget } from './round-budget.ts';
import {
  CONCURRENT_PULLS,
  CONNECTED_WAIT_MS,
  type RoundPlan,
  type RoundTarget,
  timesFor,
  timesOf,
} from './round-plan.ts';
import { createSemaphore } from './semaphore.ts';
import { mergeReports, runTurn, sumProgress, type TurnDeps, type TurnProgress } from './turn.ts';

/**
 * Turns with known entries only after which a peer does not continue in this round. A million entries that another device
 * has sent before take less.
 */
const MAX_KNOWN_TURNS = 8;

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
  readonly onProgress?: (progress: TurnProgress) => void;
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
  deps: TurnDeps,
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
  const { store, dialer } = deps;
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
  /** Consecutive turns of a peer that brought known entries only. */
  const knownTurns = new Map<string, number>();
  const progressByPeer = new Map<string, TurnProgress>();
  const firstStarted = Promise.withResolvers<void>();

  function take(): RoundTarget | undefined {
    if (stop.aborted || budget.isSpent()) return undefined;
    const target = first.shift() ?? others.shift();
    if (first.length === 0) firstStarted.resolve();
    return target;
  }

  async function runNext(target: RoundTarget): Promise<PullReport | undefined> {
    const { peerId } = target;
    const { cursor, deleteCursor } = store.cursorsOf(peerId);
    const times = timesOf(firstIds.has(peerId), cursor === 0 && deleteCursor === 0, turnTimes);
    const earlier = unfinished.get(peerId);
    const report = await runTurn(target, deps, {
      limit,
      times,
      budget,
      permits,
      continuesPush: earlier !== undefined && !earlier.isUnfinished,
      signal: stop,
      onProgress: (progress) => {
        const before = earlier === undefined ? [] : [{ ...earlier, pushed: pushedIn(earlier) }];
        progressByPeer.set(peerId, sumProgress([...before, progress]));
        onProgress(sumProgress([...progressByPeer.values()]));
      },
    });
    return report && mergeReports(earlier, report);
  }

  async function pullNext(target: RoundTarget): Promise<void> {
    const { peerId } = target;
    // Not before its turn, because the addresses of a thousand peers take a second to parse.
    if (target.isListed === true && !dialer.canDial(target)) {
      skipped.push(peerId);
      return;
    }
    const report = await runNext(target);
    if (report === undefined) {
      others.unshift(target);
      return;
    }
    if (hasMore(report) && untilComplete && !stop.aborted && mayContinue(report)) {
      unfinished.set(peerId, report);
      others.push(target);
      return;
    }
    unfinished.delete(peerId);
    reports.push(report);
    onReport(report);
  }

  /** Whether a peer whose turn has ended gets another one. */
  function mayContinue(report: PullReport): boolean {
    const { peerId, entries, duplicates } = report;
    const before = unfinished.get(peerId);
    const isNew =
      entries - duplicates > (before === undefined ? 0 : before.entries - before.duplicates) ||
      pushedIn(report) > (before === undefined ? 0 : pushedIn(before));
    const turns = isNew ? 0 : (knownTurns.get(peerId) ?? 0) + 1;
    knownTurns.set(peerId, turns);
    return turns < MAX_KNOWN_TURNS && !budget.isPeerSpent(peerId);
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

/** Whether the pull or the push of a turn ended before it was complete. */
export function hasMore({ isUnfinished, push }: PullReport): boolean {
  return isUnfinished || push?.state === 'unfinished';
}

function pushedIn({ push }: PullReport): number {
  return push === undefined ? 0 : push.entries + push.deletions;
}
