// The star: of a user with a live hub, a device lists only the hubs and itself. Pure functions; both registries use them.
import type { ListedPeer, Page, StarView } from './registry.ts';

/** A listed peer with its user; `null` without one. */
export interface UserPeer extends ListedPeer {
  readonly userId: string | null;
}

/** Whether a registration is that of a hub: a token of a hub made it, and it has a user. */
export function isHubOf({ isHub, userId }: Pick<UserPeer, 'isHub' | 'userId'>): boolean {
  return isHub === true && userId !== null;
}

/**
 * The peers that are listed in a star, in the same order, and the one that is listed only as the own one of the device.
 *
 * @param hubUsers the users with a live hub. Default: those with a hub among the peers
 */
export function starOf<Peer extends UserPeer>(
  peers: readonly Peer[],
  { ownPeerId }: StarView,
  hubUsers: ReadonlySet<string | null> = new Set(peers.filter(isHubOf).map(({ userId }) => userId)),
): Pick<Page, 'own'> & { readonly peers: readonly Peer[] } {
  if (hubUsers.size === 0) return { peers };
  const isListed = (peer: Peer): boolean => isHubOf(peer) || !hubUsers.has(peer.userId);
  const own = peers.find((peer) => peer.peerId === ownPeerId);
  if (own === undefined || isListed(own)) return { peers: peers.filter(isListed) };
  return { peers: peers.filter((peer) => peer === own || isListed(peer)), own: own.peerId };
}
