// Which devices the listings leave out because of their maximum size, for the status page.
import type { Peer } from '../shared/contract.ts';
import { cutPage } from './listing.ts';
import type { ListedPeer } from './registry/registry.ts';

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

/** The listings that are too long: those of single users first, and the one of all devices last. */
export function listingCuts(newestFirst: readonly ListedPeer[]): ListingCut[] {
  const users = Map.groupBy(newestFirst, ({ json }) => (JSON.parse(json) as Peer).meta?.user_id);
  const scopes: [userId: string | undefined, peers: readonly ListedPeer[]][] = [];
  // A device without a user is only in the listing of all.
  for (const [userId, peers] of users) if (typeof userId === 'string') scopes.push([userId, peers]);
  scopes.push([undefined, newestFirst]);
  const named = new Set<ListedPeer>();
  const cuts: ListingCut[] = [];
  for (const [userId, peers] of scopes) {
    const { omitted: count } = cutPage({ peers }, false);
    if (count === 0) continue;
    const omitted = peers
      .slice(-count)
      .filter((peer) => !named.has(peer))
      .slice(0, MAX_NAMED_DEVICES - named.size);
    // The listing of all devices is reported only for devices that no listing of a user leaves out.
    if (userId === undefined && omitted.length === 0) continue;
    for (const peer of omitted) named.add(peer);
    cuts.push({ userId, omitted, unnamed: count - omitted.length });
  }
  return cuts;
}
