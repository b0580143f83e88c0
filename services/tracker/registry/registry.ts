// What a registry of peers promises, whatever it is kept in. `registry.suite.ts` holds every implementation to it.
import type { Component } from '../../shared/lifecycle.ts';

/** What a device registered, validated and ready to be listed. */
export interface Registration {
  /** Canonical peer id. */
  readonly peerId: string;
  /** The user the device belongs to; a device of no user is only in the listing of everything. */
  readonly userId: string | null;
  /** The JSON object `{"peer_id":…,"addrs":…,"meta":…}`; at most 64 KiB, as it came in one body. */
  readonly json: string;
}

/** One live peer in a listing. */
export interface ListedPeer {
  readonly peerId: string;
  readonly json: string;
  /** When it registered last, in microseconds since 1970 by the registry's clock. */
  readonly seen: number;
}

/** A place in a listing: everything after it is older. */
export interface Position {
  readonly seen: number;
  readonly peerId: string;
}

export interface ListQuery {
  /** Only this user's peers; all peers when absent. */
  readonly userId?: string | undefined;
  /** Most peers to return; all when absent. A page may hold fewer, and still have a `next`. */
  readonly limit?: number | undefined;
  /** Continue after this place. */
  readonly after?: Position | undefined;
}

export interface Page {
  /** Newest registration first. */
  readonly peers: readonly ListedPeer[];
  /** Where the next page continues; absent at the end. */
  readonly next?: Position | undefined;
  /** How long ago this was true, when the store could not be asked now. */
  readonly staleForSeconds?: number;
}

/**
 * Promises:
 * - A registration replaces the whole record of its peer id; when its user changed, the old user's listing loses
 *   it at once.
 * - Once `register` or `unregister` resolved, every later listing, on every replica, shows it.
 * - No listing shows a record past its time to live, which the registry's own clock judges.
 * - Never more live peers than the configured most, whatever arrives at the same time.
 * - The cost of a listing grows with what it returns, not with what is registered.
 * - A call ends within its deadline; when the store does not answer it rejects with `RegistryUnavailableError`,
 *   and then it is not known whether a registration was written.
 */
export interface Registry extends Component {
  /**
   * @param owner when given, a live record of another user is left alone (`foreign`).
   * @returns `full` when the peer is new and the most peers are registered.
   */
  register(registration: Registration, owner?: string): Promise<'registered' | 'full' | 'foreign'>;
  /**
   * @param owner when given, a record of another user counts as absent.
   * @returns whether there was a record.
   */
  unregister(peerId: string, owner?: string): Promise<boolean>;
  list(query: ListQuery): Promise<Page>;
  /** Live peers when last counted, at most some seconds ago; `undefined` before the first count. */
  live(): number | undefined;
  /** Why the registry cannot be used now; `undefined` when it can. */
  problem(): string | undefined;
}

/** Thrown when the store of the registry does not answer; the caller may try again after a moment. */
export class RegistryUnavailableError extends Error {
  override readonly name = 'RegistryUnavailableError';
  readonly code = 'REGISTRY_UNAVAILABLE';
}
