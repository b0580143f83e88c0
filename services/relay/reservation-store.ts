// The reservation store: the peers that can be reached through this relay, each by the connection that reserved, with
// limits on new reservations.
import type { Connection } from '@libp2p/interface';
import { refused, type Result } from '../shared/result.ts';
import { monotonicMs } from '../shared/clock.ts';
import type { RelayLimits } from './config.ts';
import { addTo } from './counts.ts';
import type { AnyConnection } from './liveness.ts';
import type { ReservationRefusal } from './outcomes.ts';
import { createTokenBuckets, perMinute } from './token-bucket.ts';

/** Maximum peers whose request rates are stored. Above this limit the oldest one is evicted. */
export const MAX_RATED_PEERS = 100_000;

/** The connection that holds a reservation. The store only compares it. */
export type Holder = Connection;

/** What was granted. `moved`: the peer reserved on another connection before, which no longer holds the reservation. */
export type Grant =
  | { readonly kind: 'new' | 'refresh' }
  | { readonly kind: 'moved'; readonly previous: Holder; readonly previousAgeMs: number };

export interface ReservationStore {
  /** Reserves or refreshes. A refresh, which comes from the connection that holds the reservation, is never refused. */
  reserve(
    peer: string,
    holder: Holder,
    address: string,
  ): Result<{ readonly grant: Grant }, ReservationRefusal>;
  /** The connection that holds the reservation of a peer. */
  holderOf(peer: string): Holder | undefined;
  /** Calls back when a connection no longer holds its reservation. The returned function removes the callback. */
  onLost(holder: Holder, callback: () => void): () => void;
  isReserved(peer: string): boolean;
  /** Whether the connection holds the reservation of its peer. */
  isHolder(connection: AnyConnection): boolean;
  /**
   * Removes the reservation that a connection holds, when it closes. Returns its age in milliseconds; `undefined` when
   * the connection holds none.
   */
  release(peer: string, holder: Holder): number | undefined;
  /** Refuses new reservations from now on. Existing reservations remain valid and can be refreshed. */
  drain(): void;
  count(): number;
}

/** It has no expiry: it lasts as long as its connection. */
interface Reservation {
  readonly holder: Holder;
  readonly address: string;
  readonly grantedAtMs: number;
}

/** @param nowMs monotonic clock */
export function createReservationStore(
  limits: RelayLimits,
  nowMs: () => number = monotonicMs,
): ReservationStore {
  const reservations = new Map<string, Reservation>();
  /** The objects that a holder shares with its connection of the lower layer. */
  const holders = new Set<AnyConnection['timeline']>();
  const lostCallbacks = new Map<Holder, Set<() => void>>();
  const countByAddress = new Map<string, number>();
  const requests = createTokenBuckets(perMinute(limits.reservationsPerMinute), MAX_RATED_PEERS, nowMs);
  const { reservationsPerAddress: maxPerAddress = Number.POSITIVE_INFINITY } = limits;
  let isDraining = false;

  function remove(peer: string, { holder, address }: Reservation): void {
    reservations.delete(peer);
    holders.delete(holder.timeline);
    addTo(countByAddress, address, -1);
    for (const callback of lostCallbacks.get(holder) ?? []) callback();
  }

  function refusalOf(peer: string, address: string): ReservationRefusal | undefined {
    const existing = reservations.get(peer);
    if (isDraining) return 'draining';
    if (!requests.of(peer).take(1)) return 'rate';
    if (existing === undefined && reservations.size >= limits.reservations) return 'reservations';
    const isAnotherAddress = existing?.address !== address;
    if (isAnotherAddress && (countByAddress.get(address) ?? 0) >= maxPerAddress) return 'address';
    return undefined;
  }

  return {
    reserve(peer, holder, address) {
      const existing = reservations.get(peer);
      if (existing?.holder === holder) return { ok: true, grant: { kind: 'refresh' } };
      const refusal = refusalOf(peer, address);
      if (refusal !== undefined) return refused(refusal);
      if (existing !== undefined) remove(peer, existing);
      reservations.set(peer, { holder, address, grantedAtMs: nowMs() });
      holders.add(holder.timeline);
      addTo(countByAddress, address, 1);
      const grant: Grant =
        existing === undefined
          ? { kind: 'new' }
          : {
              kind: 'moved',
              previous: existing.holder,
              previousAgeMs: nowMs() - existing.grantedAtMs,
            };
      return { ok: true, grant };
    },
    holderOf: (peer) => reservations.get(peer)?.holder,
    onLost(holder, callback) {
      const callbacks = lostCallbacks.get(holder) ?? new Set();
      lostCallbacks.set(holder, callbacks.add(callback));
      return () => {
        callbacks.delete(callback);
        if (callbacks.size === 0) lostCallbacks.delete(holder);
      };
    },
    isReserved: (peer) => reservations.has(peer),
    isHolder: ({ timeline }) => holders.has(timeline),
    release(peer, holder) {
      const existing = reservations.get(peer);
      if (existing?.holder !== holder) return undefined;
      remove(peer, existing);
      return nowMs() - existing.grantedAtMs;
    },
    drain: () => void (isDraining = true),
    count: () => reservations.size,
  };
}
