// Which devices the listings leave out because of their maximum size, for the status page.
import type { Peer } from '../shared/contract.ts';
import { cutPage } from './listing.ts';
import type { ListedPeer } from './registry/registry.ts';
import { starOf } from './registry/star.ts';

/** Maximum devices that are named in all cuts together. Further ones are only counted. */
const MAX_NAMED_DEVICES = 10_000;

/** The devices that one listing leaves out. */
export interface ListingCut {
  /** The user of the listing; `undefined`: the listing of all devices. */
  readonly userId: string | undefined;
  /** The devices that are named. */
  readonly omitted: readonly ListedPeer[];
  /** The number of further devices, which are not named, or are named in the listing of their user. */
  readonly unnamed: number;
}

/**
 * The listings that are too long: those of single users first, and the one of all devices last.
 *
 * @param isStar whether users with a hub are listed only their hubs
 */
export function listingCuts(newestFirst: readonly ListedPeer[], isStar: boolean): ListingCut[] {
  const all = newestFirst.map(({ peerId, json, seenUnixMicros, isHub = false }) => {
    const userId = (JSON.parse(json) as Peer).meta?.user_id ?? null;
    return { peerId, json, seenUnixMicros, isHub, userId };
  });
  const { peers: listed } = isStar ? starOf(all, {}) : { peers: all };
  const scopes: [userId: string | undefined, peers: readonly ListedPeer[]][] = [];
  // A device without a user is only in the listing of all.
  for (const [userId, peers] of Map.groupBy(listed, (peer) => peer.userId))
    if (userId !== null) scopes.push([userId, peers]);
  scopes.push([undefined, listed]);
  const named = new Set<ListedPeer>();
  const cuts: ListingCut[] = [];
  for (const [userId, peers] of scopes) {
    const { omitted: cut } = cutPage({ peers }, false);
    if (cut.length === 0) continue;
    const omitted = cut.filter((peer) => !named.has(peer)).slice(0, MAX_NAMED_DEVICES - named.size);
    // The listing of all devices is reported only for devices that no listing of a user leaves out.
    if (userId === undefined && omitted.length === 0) continue;
    for (const peer of omitted) named.add(peer);
    cuts.push({ userId, omitted, unnamed: cut.length - omitted.length });
  }
  return cuts;
}
