// The interface of a registry of peers. `registry.suite.ts` tests every implementation.
import type { Component } from '../../shared/lifecycle.ts';
import type { Result } from '../../shared/result.ts';
import type { Conflict } from './claims.ts';
import type { RegistryCounts } from './counts.ts';

/** A validated registration of a device. */
export interface Registration {
  /** Canonical peer id. */
  readonly peerId: string;
  /** The user the device belongs to; `null` for a device that is only in the listing of all devices. */
  readonly userId: string | null;
  /** `device_id` and `hostname` of its `meta`; `null` when absent. */
  readonly deviceId: string | null;
  readonly hostname: string | null;
  /** Number of different relays at which it lists a circuit, from `countRelays`. Default 0. */
  readonly relays?: number;
  /** Whether a token of a hub made it. With a user it is the registration of a hub of this user. Default false. */
  readonly isHub?: boolean;
  /** The JSON object `{"peer_id":…,"addrs":…,"meta":…}`; at most 64 KiB, the maximum size of a request body. */
  readonly json: string;
}

/** One live peer in a listing. */
export interface ListedPeer {
  readonly peerId: string;
  readonly json: string;
  /** Time of its last registration, by the clock of the registry. */
  readonly seenUnixMicros: number;
  /** Whether it is a hub of its user. Absent: it is not. */
  readonly isHub?: boolean;
}

export interface ListQuery {
  /** Only this user's peers; all peers when absent. */
  readonly userId?: string | undefined;
  /**
   * Maximum peers of a page. Default: all. Pages are in order of peer id, so that a device that registers again between
   * two pages is on neither of them twice and is not missed. A page with fewer peers can also have a `next`.
   */
  readonly limit?: number | undefined;
  /** The page starts after this peer id. Requires `limit`. */
  readonly after?: string | undefined;
  /** Lists only the hubs of users with a live hub. Default: all peers. */
  readonly star?: StarView | undefined;
}

/** What a device lists while the star is on. */
export interface StarView {
  /** The peer id of the device, which is listed besides the hubs of its user. */
  readonly ownPeerId?: string | undefined;
}

export interface Page {
  /** Newest registration first; a page in order of peer id. */
  readonly peers: readonly ListedPeer[];
  /** The last peer id of this page, after which the next one starts; absent at the end. */
  readonly next?: string | undefined;
  /**
   * The same object as that of an earlier page of the listing while only times and the order differ; absent when that is
   * not known.
   */
  readonly content?: object;
  /** The peer id of a record that is listed only because it is the own one of the device; absent without one. */
  readonly own?: string | undefined;
  /** Age in seconds of an earlier page, which is returned when the store does not respond. */
  readonly staleForSeconds?: number;
}

/** Outcomes of registrations that reached the registry, as metric labels; docs/metrics.md shows the sentences. */
export const REGISTRATION_OUTCOMES = {
  registered: { doc: 'The device was registered. Each device registers twice per minute.' },
  full: {
    doc: 'The device is new, and the maximum number of peers is registered. Raise `TRACKER_MAX_PEERS`.',
  },
  foreign: {
    doc:
      'A token that is bound to one user registered a device whose live registration belongs to another user. ' +
      'The old registration expires after `TRACKER_TTL_SECONDS`.',
  },
  held: {
    doc:
      'A token that is bound to one user registered a peer id that is held for another user, whose device is away. ' +
      'Unregister the peer id, or register it once with a token that is not bound to a user.',
  },
  hub: {
    doc:
      'A token that is not marked `hub` registered the peer id of a live hub. ' +
      'If the mark was removed from the token of the hub, the old registration expires after `TRACKER_TTL_SECONDS`.',
  },
} as const satisfies Record<string, { readonly doc: string }>;

/** A registry in the memory of this process has its results at once, and a promise for each request would cost more. */
export type Eventual<T> = T | Promise<T>;

export type RegistrationOutcome = keyof typeof REGISTRATION_OUTCOMES;

export type RegisterResult = Result<
  {
    /** Other devices that use an identity of this device; absent without a conflict. */
    readonly conflicts?: readonly Conflict[];
  },
  Exclude<RegistrationOutcome, 'registered'>
>;

/**
 * Guarantees:
 * - A registration replaces the whole record of its peer id. When its user changed, the listing of the previous user
 *   no longer contains it.
 * - After `register` or `unregister` resolved, every later listing on every replica shows the change.
 * - No listing shows a record after its time to live, measured by the clock of the registry.
 * - There are never more live peers than the configured maximum, also with concurrent registrations.
 * - The cost of a listing depends on the number of returned peers, not of registered ones. A page also reads the ids
 *   of all peers in its listing.
 * - Registrations of two devices with one identity are reported as conflicts when they alternate, on any replicas.
 *   Finding them never delays or fails a registration.
 * - The record of a live hub is replaced and removed only with tokens of hubs. In a star, a user has a hub as long as
 *   such a record is live, on every replica.
 * - A peer id that tokens of one owner registered for a day is held for this owner for 30 days of absence (`holds.ts`).
 * - Every call ends. It rejects with `RegistryUnavailableError` when the store does not respond; then it is unknown
 *   whether a registration was written. It rejects with `RegistryOverloadedError` when the call waited too long in
 *   this process; the store may be fine.
 */
export interface Registry extends Component {
  /**
   * @param owner the user that the token is bound to. A live record of another user is kept, and the result is
   *   `foreign`; the result is `held` when the peer id is held for another user. When absent, the hold is freed.
   *   The result is `hub` when the live record is that of a hub, and the registration is not.
   * @returns `full` when the peer is new and the maximum number of peers is registered.
   */
  register(registration: Registration, owner?: string): Eventual<RegisterResult>;
  /**
   * Frees also the hold of the peer id.
   *
   * @param owner when given, a record of another user counts as absent, and its hold is kept.
   * @param isHub whether the token is that of a hub. Otherwise the record of a hub counts as absent.
   * @returns whether there was a record.
   */
  unregister(peerId: string, owner?: string, isHub?: boolean): Promise<boolean>;
  list(query: ListQuery): Eventual<Page>;
  /**
   * The live registration of a peer as a device without the token of a hub made it, if it is in the memory of this process.
   * Absent in registries that keep their records elsewhere.
   */
  recall?(peerId: string): Registration | undefined;
  /** The conflicts that registrations were part of lately, newest first. */
  conflicts(): Promise<readonly Conflict[]>;
  /** Number of live peers, counted every few seconds; `undefined` before the first count. */
  live(): number | undefined;
  /** Counts of live peers, every few seconds; `undefined` before the first ones and while the store does not respond. */
  counts(): RegistryCounts | undefined;
  /** The reason why the registry is unavailable; `undefined` when it is available. */
  problem(): string | undefined;
}

/** A registry whose records are elsewhere. */
export interface RemoteRegistry extends Registry {
  register(...given: Parameters<Registry['register']>): Promise<RegisterResult>;
  list(query: ListQuery): Promise<Page>;
}

/** The store of the registry does not respond. The caller may retry after a few seconds. */
export class RegistryUnavailableError extends Error {
  override readonly name = 'RegistryUnavailableError';
  readonly code = 'REGISTRY_UNAVAILABLE';
}

/** More calls arrived than this process could send to the store in time. The caller may retry after a few seconds. */
export class RegistryOverloadedError extends Error {
  override readonly name = 'RegistryOverloadedError';
  readonly code = 'REGISTRY_OVERLOADED';
}
