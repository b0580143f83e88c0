// Admission of circuits: refuses circuits above a limit and counts those in progress.
import { refused, type Result } from '../shared/result.ts';
import { monotonicMs } from '../shared/clock.ts';
import type { RelayLimits } from './config.ts';
import { addTo } from './counts.ts';
import type { CircuitRefusal } from './outcomes.ts';
import { MAX_RATED_PEERS, type ReservationStore } from './reservation-store.ts';
import { createTokenBucket, createTokenBuckets, perMinute, type TokenBucket } from './token-bucket.ts';

export interface CircuitAdmission {
  /** Admits and counts a circuit. Call `close` once for each admitted circuit. */
  open(source: string, target: string): Result<object, CircuitRefusal>;
  close(source: string, target: string): void;
  /** The rate limiters of one circuit: its own, and the one that all circuits of its source share. */
  rateLimiters(source: string): TokenBucket[];
  /** Refuses all new circuits from now on. Running circuits continue. */
  drain(): void;
  /** Circuits that are running or being set up. */
  count(): number;
}

/** @param nowMs monotonic clock */
export function createCircuitAdmission(
  limits: RelayLimits,
  { isReserved }: Pick<ReservationStore, 'isReserved'>,
  nowMs: () => number = monotonicMs,
): CircuitAdmission {
  const countBySource = new Map<string, number>();
  const countByTarget = new Map<string, number>();
  const requests = createTokenBuckets(perMinute(limits.circuitsPerMinute), MAX_RATED_PEERS, nowMs);
  const circuitRate = byteRate(limits.circuitBytesPerSecond);
  const peerRate = byteRate(limits.peerBytesPerSecond);
  const peerLimiters =
    peerRate === undefined ? undefined : createTokenBuckets(peerRate, MAX_RATED_PEERS, nowMs);
  let count = 0;
  let isDraining = false;

  return {
    open(source, target) {
      if (isDraining) return refused('draining');
      if (!requests.of(source).take(1)) return refused('rate');
      if (!isReserved(target)) return refused('no_reservation');
      if (count >= limits.circuits) return refused('circuits');
      if ((countBySource.get(source) ?? 0) >= limits.circuitsPerPeer) return refused('source');
      if ((countByTarget.get(target) ?? 0) >= limits.circuitsPerPeer) return refused('target');
      count += 1;
      addTo(countBySource, source, 1);
      addTo(countByTarget, target, 1);
      return { ok: true };
    },
    close(source, target) {
      count -= 1;
      addTo(countBySource, source, -1);
      addTo(countByTarget, target, -1);
    },
    rateLimiters(source) {
      const own = circuitRate === undefined ? undefined : createTokenBucket(circuitRate, nowMs);
      return [peerLimiters?.of(source), own].filter((limiter) => limiter !== undefined);
    },
    drain: () => void (isDraining = true),
    count: () => count,
  };
}

/** A rate in bytes per second, with a burst of one second. */
function byteRate(bytesPerSecond: number | undefined) {
  return bytesPerSecond === undefined ? undefined : { perSecond: bytesPerSecond, burst: bytesPerSecond };
}
