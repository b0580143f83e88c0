// Pulls from several peers, a few at a time. Each peer has its time; one that needs more waits for the others.
import { anySignal } from '../../shared/signals.ts';
import type { Target } from '../network/dial.ts';
import { pull, type PullDeps, type PullProgress, type PullReport } from './pull.ts';

/** Maximum concurrent pulls, because they share one network connection and one database. Further peers wait. */
const CONCURRENT_PULLS = 4;

export interface PullAllOptions {
  /** Maximum entries of one page. */
  readonly limit: number;
  /**
   * Whether a peer whose time ended continues after the others until its history is complete. Otherwise it is reported
   * as unfinished, and continues in the next round.
   */
  readonly untilComplete?: boolean;
  readonly signal: AbortSignal;
  /** Called with the sums over all peers. */
  readonly onProgress?: (progress: PullProgress) => void;
  readonly onReport?: (report: PullReport) => void;
}

/** Pulls from all targets, in their order. @throws DatabaseError */
export async function pullAll(
  targets: readonly Target[],
  deps: PullDeps,
  options: PullAllOptions,
): Promise<PullReport[]> {
  const { limit, untilComplete = false, signal, onProgress = () => {}, onReport = () => {} } = options;
  const queue = [...targets];
  const failing = new AbortController();
  const stop = anySignal(signal, failing.signal);
  const reports: PullReport[] = [];
  /** The reports of peers that continue. */
  const unfinished = new Map<string, PullReport>();
  const progressByPeer = new Map<string, PullProgress>();

  async function pullNext(target: Target): Promise<void> {
    const { peerId } = target;
    const earlier = unfinished.get(peerId);
    const latest = await pull(target, deps, {
      limit,
      signal: stop,
      onProgress: (progress) => {
        progressByPeer.set(peerId, sum(earlier === undefined ? [progress] : [earlier, progress]));
        onProgress(sum([...progressByPeer.values()]));
      },
    });
    const report = earlier === undefined ? latest : merge(earlier, latest);
    if (report.isUnfinished && untilComplete && !stop.aborted) {
      unfinished.set(peerId, report);
      queue.push(target);
      return;
    }
    reports.push(report);
    onReport(report);
  }

  const work = async (): Promise<void> => {
    for (let target = queue.shift(); target !== undefined && !stop.aborted; target = queue.shift())
      await pullNext(target);
  };
  const workers = Array.from({ length: Math.min(CONCURRENT_PULLS, queue.length) }, async () =>
    work().catch((error: unknown) => {
      // No pull can store entries, so the other pulls end too.
      failing.abort(error);
      throw error;
    }),
  );
  await Promise.allSettled(workers);
  await Promise.all(workers);
  return reports;
}

/** The report of a peer over several pulls. */
function merge(earlier: PullReport, latest: PullReport): PullReport {
  return {
    ...latest,
    ...sum([earlier, latest]),
    address: latest.address ?? earlier.address,
    duplicates: earlier.duplicates + latest.duplicates,
    deleted: earlier.deleted + latest.deleted,
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
