// Admission of circuits: refuses circuits above a limit and counts those in progress. At the maximum, the newest circuit
// of the address that has the most is evicted for an address that has none.
import { refused, type Result } from '../shared/result.ts';
import { monotonicMs } from '../shared/clock.ts';
import type { RelayLimits } from './config.ts';
import { createByAddress } from './by-address.ts';
import { addTo } from './counts.ts';
import type { CircuitRefusal } from './outcomes.ts';
import { MAX_RATED_PEERS, type ReservationStore } from './reservation-store.ts';
import { createTokenBucket, createTokenBuckets, perMinute, type TokenBucket } from './token-bucket.ts';

/** A requested circuit, or one in progress. */
export interface Circuit {
  readonly source: string;
  readonly target: string;
  /** Address of the source. */
  readonly address: string;
  /** Ends the circuit, which counts no longer. */
  evict(): void;
}

export interface CircuitAdmission {
  /** Admits and counts a circuit. Call `close` when it has ended. */
  open(circuit: Circuit): Result<object, CircuitRefusal>;
  /** Counts the circuit no longer. Without effect for one that was evicted. */
  close(circuit: Circuit): void;
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
  const circuits = new Set<Circuit>();
  const circuitsByAddress = createByAddress<Circuit>();
  const areAddressesReal = limits.connectionsPerAddress !== undefined;
  const countBySource = new Map<string, number>();
  const countByTarget = new Map<string, number>();
  const requests = createTokenBuckets(perMinute(limits.circuitsPerMinute), MAX_RATED_PEERS, nowMs);
  const circuitRate = byteRate(limits.circuitBytesPerSecond);
  const peerRate = byteRate(limits.peerBytesPerSecond);
  const peerLimiters =
    peerRate === undefined ? undefined : createTokenBuckets(peerRate, MAX_RATED_PEERS, nowMs);
  let isDraining = false;

  function remove(circuit: Circuit): void {
    if (!circuits.delete(circuit)) return;
    circuitsByAddress.remove(circuit.address, circuit);
    addTo(countBySource, circuit.source, -1);
    addTo(countByTarget, circuit.target, -1);
  }

  /** The newest circuit of the address that has the most, for a circuit of an address that has none. */
  function evictableFor({ address }: Circuit): Circuit | undefined {
    if (!areAddressesReal || circuitsByAddress.count(address) > 0) return undefined;
    return [...circuitsByAddress.largest()].at(-1);
  }

  return {
    open(circuit) {
      const { source, target, address } = circuit;
      if (isDraining) return refused('draining');
      if (!requests.of(source).take(1)) return refused('rate');
      if (!isReserved(target)) return refused('no_reservation');
      const isFull = circuits.size >= limits.circuits;
      const evictable = isFull ? evictableFor(circuit) : undefined;
      if (isFull && evictable === undefined) return refused('circuits');
      if ((countBySource.get(source) ?? 0) >= limits.circuitsPerPeer) return refused('source');
      if ((countByTarget.get(target) ?? 0) >= limits.circuitsPerTarget) return refused('target');
      if (evictable !== undefined) {
        remove(evictable);
        evictable.evict();
      }
      circuits.add(circuit);
      circuitsByAddress.add(address, circuit);
      addTo(countBySource, source, 1);
      addTo(countByTarget, target, 1);
      return { ok: true };
    },
    close: remove,
    rateLimiters(source) {
      const own = circuitRate === undefined ? undefined : createTokenBucket(circuitRate, nowMs);
      return [peerLimiters?.of(source), own].filter((limiter) => limiter !== undefined);
    },
    drain: () => void (isDraining = true),
    count: () => circuits.size,
  };
}

/** A rate in bytes per second, with a burst of one second. */
function byteRate(bytesPerSecond: number | undefined) {
  return bytesPerSecond === undefined ? undefined : { perSecond: bytesPerSecond, burst: bytesPerSecond };
}
