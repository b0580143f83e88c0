// Who may reserve and connect: the ledger of what is reserved and which circuits run. It decides and counts;
// it knows nothing of streams.
import { type Bucket, createBuckets, type Rate } from './token-bucket.ts';
import { addTo } from './counts.ts';

/** Why something was refused; a metric label. */
export type Refusal =
  | 'draining'
  | 'rate'
  | 'reservations'
  | 'address'
  | 'no_reservation'
  | 'circuits'
  | 'source'
  | 'target';

export type Decision = { readonly allowed: true } | { readonly allowed: false; readonly reason: Refusal };

export interface LedgerLimits {
  readonly maxReservations: number;
  /** Reservations from one source address; `undefined` where addresses are not those of the devices. */
  readonly maxReservationsPerAddress: number | undefined;
  readonly maxCircuits: number;
  /** Circuits of one peer, as source and as target counted apart. */
  readonly maxCircuitsPerPeer: number;
  /** Requests of one peer for reservations, refreshes included. */
  readonly reservationsPerMinute: number;
  /** Requests of one peer for circuits. */
  readonly circuitsPerMinute: number;
  /** Bytes of all circuits that one peer opened; `undefined` is no limit. */
  readonly bytesPerSecondPerPeer: number | undefined;
  /** How long a reservation holds unless it is refreshed, in seconds. */
  readonly reservationSeconds: number;
}

export interface Ledger {
  /** Reserves or refreshes; a refresh is never refused for want of room. */
  reserve(peer: string, address: string): Decision;
  /** Whether the peer's reservation holds now. */
  isReserved(peer: string): boolean;
  /** Frees the reservation of a peer that is gone. */
  release(peer: string): void;
  /** Counts a circuit; each one allowed must be closed once. */
  openCircuit(source: string, target: string): Decision;
  closeCircuit(source: string, target: string): void;
  /** What the circuits of a source share, where its bytes are limited. */
  bytesOf(source: string): Bucket | undefined;
  /** From now on refuses every new reservation and circuit; running ones go on. */
  drain(): void;
  reservations(): number;
  circuits(): number;
}

interface Reservation {
  readonly expiresAt: number;
  readonly address: string;
}

/** Peers whose rates are remembered at the same time; past that the oldest is forgotten. */
const MAX_RATED_PEERS = 100_000;

const ALLOWED: Decision = { allowed: true };

/** @param now the time in milliseconds, from any start. */
export function createLedger(limits: LedgerLimits, now: () => number = () => performance.now()): Ledger {
  const reserved = new Map<string, Reservation>();
  const byAddress = new Map<string, number>();
  const bySource = new Map<string, number>();
  const byTarget = new Map<string, number>();
  const reserving = createBuckets(perMinute(limits.reservationsPerMinute), MAX_RATED_PEERS, now);
  const connecting = createBuckets(perMinute(limits.circuitsPerMinute), MAX_RATED_PEERS, now);
  const { bytesPerSecondPerPeer: bytes } = limits;
  const flowing =
    bytes === undefined ? undefined : createBuckets({ perSecond: bytes, burst: bytes }, MAX_RATED_PEERS, now);
  let circuits = 0;
  let draining = false;

  function release(peer: string): void {
    const reservation = reserved.get(peer);
    if (reservation === undefined) return;
    reserved.delete(peer);
    addTo(byAddress, reservation.address, -1);
  }

  // Refreshing moves a reservation to the end of the map, so the oldest stand first and the sweep stops early.
  function sweep(): void {
    for (const [peer, { expiresAt }] of reserved) {
      if (expiresAt > now()) return;
      release(peer);
    }
  }

  function isReserved(peer: string): boolean {
    return (reserved.get(peer)?.expiresAt ?? 0) > now();
  }

  function hasRoomAt(address: string): boolean {
    const { maxReservationsPerAddress: most } = limits;
    return most === undefined || (byAddress.get(address) ?? 0) < most;
  }

  return {
    reserve(peer, address) {
      sweep();
      if (draining) return refuse('draining');
      if (!reserving.of(peer).take(1)) return refuse('rate');
      if (!reserved.has(peer)) {
        if (reserved.size >= limits.maxReservations) return refuse('reservations');
        if (!hasRoomAt(address)) return refuse('address');
      }
      release(peer);
      reserved.set(peer, { expiresAt: now() + limits.reservationSeconds * 1000, address });
      addTo(byAddress, address, 1);
      return ALLOWED;
    },
    isReserved,
    release,
    openCircuit(source, target) {
      if (draining) return refuse('draining');
      if (!connecting.of(source).take(1)) return refuse('rate');
      if (!isReserved(target)) return refuse('no_reservation');
      if (circuits >= limits.maxCircuits) return refuse('circuits');
      if ((bySource.get(source) ?? 0) >= limits.maxCircuitsPerPeer) return refuse('source');
      if ((byTarget.get(target) ?? 0) >= limits.maxCircuitsPerPeer) return refuse('target');
      circuits += 1;
      addTo(bySource, source, 1);
      addTo(byTarget, target, 1);
      return ALLOWED;
    },
    closeCircuit(source, target) {
      circuits -= 1;
      addTo(bySource, source, -1);
      addTo(byTarget, target, -1);
    },
    bytesOf: (source) => flowing?.of(source),
    drain: () => void (draining = true),
    reservations() {
      sweep();
      return reserved.size;
    },
    circuits: () => circuits,
  };
}

function perMinute(count: number): Rate {
  return { perSecond: count / 60, burst: count };
}

function refuse(reason: Refusal): Decision {
  return { allowed: false, reason };
}
