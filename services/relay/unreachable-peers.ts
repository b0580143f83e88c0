// The peers that others asked for without success: targets of circuits that found no reservation or got no answer. A device that
// lost its reservation may not notice (rr 0.1 asks once), so only those who ask for it can show that it is unreachable.
import { monotonicMs, unixSeconds } from '../shared/clock.ts';
import type { Logger } from '../shared/log.ts';
import { createLimitedLog } from '../shared/limited-log.ts';

/** A target without a failure for this time is no longer listed, because nobody asks for it any more. */
const LISTED_MS = 10 * 60_000;

/**
 * Failures over this time mean a fault. A device that was switched off is asked for up to two minutes longer, until
 * its registration at the tracker has expired and the others have read the list again.
 */
const LASTING_MS = 5 * 60_000;

/** Maximum listed targets, about 4 MiB. Above this limit the target that the fewest sources asked for is evicted. */
const MAX_TARGETS = 4_096;

/** Maximum sources that are stored for one target: enough to order the targets. Further sources are not counted. */
const MAX_SOURCES = 16;

/** Maximum log lines per minute about peers that became unreachable, and as many about peers that are back. */
const LINES_PER_MINUTE = 30;

export interface UnreachablePeersOptions {
  readonly log: Logger;
  /** Monotonic clock in milliseconds. */
  readonly nowMs?: () => number;
  readonly nowUnixSeconds?: () => number;
}

export interface UnreachablePeers {
  /** A circuit to `target` was refused, because it has no reservation or did not answer. */
  failed(target: string, source: string, reason: string): void;
  /** A circuit to `target` was accepted by it. */
  reached(target: string): void;
  /** Targets that were asked for in the last 10 minutes and were not reached since their first failure. */
  count(): number;
  /** Those of them whose failures span 5 minutes. */
  lastingCount(): number;
}

interface UnreachablePeer {
  readonly sinceMs: number;
  lastFailureMs: number;
  readonly sources: Set<string>;
}

export function createUnreachablePeers({
  log,
  nowMs = monotonicMs,
  nowUnixSeconds = unixSeconds,
}: UnreachablePeersOptions): UnreachablePeers {
  // In order of the last failure, because each failure moves its target to the end.
  const peers = new Map<string, UnreachablePeer>();
  const logLimited = createLimitedLog<'unreachable' | 'reached'>({ log, perMinute: LINES_PER_MINUTE, nowMs });

  function dropForgotten(): void {
    const currentMs = nowMs();
    for (const [target, { lastFailureMs }] of peers) {
      if (currentMs - lastFailureMs < LISTED_MS) return;
      peers.delete(target);
    }
  }

  /** Of the targets with the fewest sources, evicts the one whose last failure is the oldest. */
  function evict(): void {
    let evicted: string | undefined;
    let fewest = Number.POSITIVE_INFINITY;
    for (const [target, { sources }] of peers) {
      if (sources.size >= fewest) continue;
      evicted = target;
      fewest = sources.size;
      if (fewest === 1) break;
    }
    if (evicted !== undefined) peers.delete(evicted);
  }

  return {
    failed(target, source, reason) {
      dropForgotten();
      const known = peers.get(target);
      if (known === undefined) {
        if (peers.size >= MAX_TARGETS) evict();
        const since = new Date(nowUnixSeconds() * 1000).toISOString();
        logLimited('unreachable', { target, source, reason, since }, 'peer cannot be reached');
      }
      const currentMs = nowMs();
      const peer = known ?? { sinceMs: currentMs, lastFailureMs: currentMs, sources: new Set<string>() };
      peer.lastFailureMs = currentMs;
      if (peer.sources.size < MAX_SOURCES) peer.sources.add(source);
      peers.delete(target);
      peers.set(target, peer);
    },
    reached(target) {
      const peer = peers.get(target);
      if (peer === undefined) return;
      peers.delete(target);
      const seconds = Math.round((nowMs() - peer.sinceMs) / 1000);
      logLimited('reached', { target, seconds }, 'peer can be reached again');
    },
    count() {
      dropForgotten();
      return peers.size;
    },
    lastingCount() {
      dropForgotten();
      let count = 0;
      for (const { sinceMs, lastFailureMs } of peers.values())
        if (lastFailureMs - sinceMs >= LASTING_MS) count += 1;
      return count;
    },
  };
}
