// The reservation store: the peers that can be reached through this relay, each by the connection that reserved, with
// limits on new reservations. A full store replaces one for a new peer where that is fair.
import { refused, type Result } from '../shared/result.ts';
import { monotonicMs } from '../shared/clock.ts';
import type { RelayLimits } from './config.ts';
import { createByAddress } from './by-address.ts';
import type { RelayConnection } from './connection.ts';
import { REPLACEABLE_MS } from './liveness-limits.ts';
import type { Liveness } from './liveness.ts';
import type { ConnectionRefusal, ReservationRefusal } from './outcomes.ts';
import { createTokenBuckets, perMinute } from './token-bucket.ts';

/** Maximum peers whose request rates are stored. Above this limit the oldest one is evicted. */
export const MAX_RATED_PEERS = 100_000;

/** Minimum time between two searches of one kind in a full store that found nothing, in milliseconds: each checks all of it. */
const SEARCH_INTERVAL_MS = 1_000;

/** The connection that holds a reservation. The store only compares it. */
export type Holder = RelayConnection;

/** A connection that lost its reservation to a new peer. */
export interface Replaced {
  readonly holder: Holder;
  /** `replaced`: it was quiet for very long. `evicted`: its address held the most reservations, and this was its newest. */
  readonly reason: Extract<ConnectionRefusal, 'replaced' | 'evicted'>;
}

/**
 * What was granted. `moved`: the peer reserved on another connection before, which no longer holds the reservation.
 * `replaced`: the connection of another peer that lost its reservation for it.
 */
export type Grant =
  | { readonly kind: 'refresh' }
  | { readonly kind: 'new'; readonly replaced?: Replaced }
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
  isHolder(connection: Holder): boolean;
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
  /** Time since which the peer holds a reservation from this address. Another connection changes nothing. */
  readonly sinceMs: number;
}

/**
 * @param nowMs monotonic clock
 * @param quietMs how long a connection has sent no byte
 */
export function createReservationStore(
  limits: RelayLimits,
  nowMs: () => number = monotonicMs,
  quietMs: Liveness['quietMs'] = () => 0,
): ReservationStore {
  const reservations = new Map<string, Reservation>();
  const holders = new Set<Holder>();
  const lostCallbacks = new Map<Holder, Set<() => void>>();
  const peersByAddress = createByAddress<string>();
  const requests = createTokenBuckets(perMinute(limits.reservationsPerMinute), MAX_RATED_PEERS, nowMs);
  const { reservationsPerAddress: maxPerAddress = Number.POSITIVE_INFINITY } = limits;
  let isDraining = false;
  const areAddressesReal = limits.reservationsPerAddress !== undefined;
  const searchedAtMs = { replaced: Number.NEGATIVE_INFINITY, evicted: Number.NEGATIVE_INFINITY };

  function remove(peer: string, { holder, address }: Reservation): void {
    reservations.delete(peer);
    holders.delete(holder);
    peersByAddress.remove(address, peer);
    for (const callback of lostCallbacks.get(holder) ?? []) callback();
  }

  /** The peer whose connection has been quiet for the longest time, if that is long enough to be replaced. */
  function longestQuiet(): string | undefined {
    let longest: string | undefined;
    let longestMs = REPLACEABLE_MS;
    for (const [peer, { holder }] of reservations) {
      const peerMs = quietMs(holder);
      if (peerMs < longestMs) continue;
      longest = peer;
      longestMs = peerMs;
    }
    return longest;
  }

  /** The newest peer of the address that holds the most reservations, if it holds several. */
  function newestOfLargest(): string | undefined {
    let newest: string | undefined;
    let newestMs = Number.NEGATIVE_INFINITY;
    for (const peer of peersByAddress.largest()) {
      const { sinceMs } = reservations.get(peer) ?? { sinceMs: Number.NEGATIVE_INFINITY };
      if (sinceMs < newestMs) continue;
      newest = peer;
      newestMs = sinceMs;
    }
    return newest;
  }

  function search(reason: Replaced['reason']): string | undefined {
    if (nowMs() - searchedAtMs[reason] < SEARCH_INTERVAL_MS) return undefined;
    const found = reason === 'replaced' ? longestQuiet() : newestOfLargest();
    if (found === undefined) searchedAtMs[reason] = nowMs();
    return found;
  }

  /**
   * Removes a reservation for a new peer when the store is full: one whose connection was quiet for very long, or, if the
   * address of the peer holds none, one of the address that holds the most. Such an address is known only if addresses
   * are real.
   */
  function makeRoom(address: string): Replaced | undefined {
    if (reservations.size < limits.reservations) return undefined;
    const mayEvict = areAddressesReal && peersByAddress.count(address) === 0;
    for (const reason of mayEvict ? (['replaced', 'evicted'] as const) : (['replaced'] as const)) {
      const peer = search(reason);
      const found = peer === undefined ? undefined : reservations.get(peer);
      if (peer === undefined || found === undefined) continue;
      remove(peer, found);
      return { holder: found.holder, reason };
    }
    return undefined;
  }

  function refusalOf(peer: string, address: string): ReservationRefusal | undefined {
    const existing = reservations.get(peer);
    if (isDraining) return 'draining';
    if (!requests.of(peer).take(1)) return 'rate';
    const isAnotherAddress = existing?.address !== address;
    if (isAnotherAddress && peersByAddress.count(address) >= maxPerAddress) return 'address';
    return undefined;
  }

  return {
    reserve(peer, holder, address) {
      const existing = reservations.get(peer);
      if (existing?.holder === holder) return { ok: true, grant: { kind: 'refresh' } };
      const refusal = refusalOf(peer, address);
      if (refusal !== undefined) return refused(refusal);
      const replaced = existing === undefined ? makeRoom(address) : undefined;
      if (existing === undefined && reservations.size >= limits.reservations) return refused('reservations');
      if (existing !== undefined) remove(peer, existing);
      const grantedAtMs = nowMs();
      const sinceMs = existing?.address === address ? existing.sinceMs : grantedAtMs;
      reservations.set(peer, { holder, address, grantedAtMs, sinceMs });
      holders.add(holder);
      peersByAddress.add(address, peer);
      const grant: Grant =
        existing === undefined
          ? { kind: 'new', ...(replaced === undefined ? {} : { replaced }) }
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
    isHolder: (connection) => holders.has(connection),
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
