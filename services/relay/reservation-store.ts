// The reservation store: the peers that can be reached through this relay, with limits on new reservations.
import { refused, type Result } from '../shared/result.ts';
import { monotonicMs } from '../shared/clock.ts';
import type { RelayLimits } from './config.ts';
import { addTo } from './counts.ts';
import type { ReservationRefusal } from './outcomes.ts';
import { createTokenBuckets, perMinute } from './token-bucket.ts';

/** Lifetime of a reservation in seconds, the same as in go-libp2p and rust-libp2p. It expires unless it is refreshed. */
export const RESERVATION_SECONDS = 3600;

/** Maximum peers whose request rates are stored. Above this limit the oldest one is evicted. */
export const MAX_RATED_PEERS = 100_000;

export interface ReservationStore {
  /** Reserves or refreshes. A refresh is refused only for its rate and during a drain. */
  reserve(peer: string, address: string): Result<object, ReservationRefusal>;
  /** Whether the peer has a reservation that has not expired. */
  isReserved(peer: string): boolean;
  /** Removes the reservation of a peer that disconnected. */
  release(peer: string): void;
  /** Refuses all requests from now on. Existing reservations remain valid. */
  drain(): void;
  /** Reservations that have not expired. */
  count(): number;
}

interface Reservation {
  readonly expiresAtMs: number;
  readonly address: string;
}

/** @param nowMs monotonic clock */
export function createReservationStore(
  limits: RelayLimits,
  nowMs: () => number = monotonicMs,
): ReservationStore {
  const reservations = new Map<string, Reservation>();
  const countByAddress = new Map<string, number>();
  const requests = createTokenBuckets(perMinute(limits.reservationsPerMinute), MAX_RATED_PEERS, nowMs);
  const { reservationsPerAddress: maxPerAddress = Number.POSITIVE_INFINITY } = limits;
  let isDraining = false;

  function release(peer: string): void {
    const reservation = reservations.get(peer);
    if (reservation === undefined) return;
    reservations.delete(peer);
    addTo(countByAddress, reservation.address, -1);
  }

  // A refresh moves its reservation to the end of the map, so the map is ordered by expiry and the loop can stop early.
  function removeExpired(): void {
    for (const [peer, { expiresAtMs }] of reservations) {
      if (expiresAtMs > nowMs()) return;
      release(peer);
    }
  }

  return {
    reserve(peer, address) {
      removeExpired();
      if (isDraining) return refused('draining');
      if (!requests.of(peer).take(1)) return refused('rate');
      if (!reservations.has(peer)) {
        if (reservations.size >= limits.reservations) return refused('reservations');
        if ((countByAddress.get(address) ?? 0) >= maxPerAddress) return refused('address');
      }
      release(peer);
      reservations.set(peer, { expiresAtMs: nowMs() + RESERVATION_SECONDS * 1000, address });
      addTo(countByAddress, address, 1);
      return { ok: true };
    },
    isReserved: (peer) => (reservations.get(peer)?.expiresAtMs ?? 0) > nowMs(),
    release,
    drain: () => void (isDraining = true),
    count() {
      removeExpired();
      return reservations.size;
    },
  };
}
