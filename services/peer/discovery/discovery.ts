// Finds the other devices of this user: all trackers are asked at once, and where none of them knows any, the peer
// book answers.
import { describeError } from '../../shared/errors.ts';
import type { Peer } from '../../shared/contract.ts';
import type { KnownPeer, PeerBook } from './peer-book.ts';
import type { TrackerClient } from './tracker-client.ts';

/** How old a record of the peer book may be, in seconds: a week. */
const PEER_BOOK_MAX_AGE_SECONDS = 7 * 24 * 60 * 60;

/** Most peers that one round deals with; a user with more devices than this has a script that went wild. */
export const MAX_PEERS = 1000;

export interface Discovery {
  readonly peers: readonly KnownPeer[];
  readonly source: 'trackers' | 'peer book';
  /** One line for each tracker that did not answer. */
  readonly problems: readonly string[];
}

export interface DiscoveryDeps {
  readonly trackers: readonly TrackerClient[];
  readonly peerBook: PeerBook;
  readonly userId: string;
  /** This device, which is left out. */
  readonly ownPeerId: string;
  /** Unix seconds. */
  readonly now: () => number;
}

/** Asks once. Never throws for a tracker that fails; the peers found are remembered for when all do. */
export async function discover(deps: DiscoveryDeps, signal?: AbortSignal): Promise<Discovery> {
  const { trackers, peerBook, userId, ownPeerId, now } = deps;
  const answers = await Promise.allSettled(trackers.map(async (tracker) => tracker.list(userId, signal)));
  signal?.throwIfAborted();
  const problems = answers.flatMap((answer) =>
    answer.status === 'rejected' ? [describeError(answer.reason)] : [],
  );
  const listed = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
  const found = mergeNewest(listed.map(toKnownPeer).filter(({ peerId }) => peerId !== ownPeerId));
  if (found.length > 0) {
    peerBook.remember(found);
    return { peers: found, source: 'trackers', problems };
  }
  // A tracker that was just started knows nobody yet, so an empty answer counts as none.
  const since = now() - PEER_BOOK_MAX_AGE_SECONDS;
  const remembered = peerBook.recall(userId, since, MAX_PEERS).filter(({ peerId }) => peerId !== ownPeerId);
  return { peers: remembered, source: 'peer book', problems };
}

function mergeNewest(peers: readonly KnownPeer[]): KnownPeer[] {
  const newest = new Map<string, KnownPeer>();
  for (const peer of peers) {
    const known = newest.get(peer.peerId);
    if (known === undefined || known.lastSeen < peer.lastSeen) newest.set(peer.peerId, peer);
  }
  return [...newest.values()].toSorted((a, b) => b.lastSeen - a.lastSeen).slice(0, MAX_PEERS);
}

function toKnownPeer({ peer_id, addrs, meta, last_seen_unix }: Peer): KnownPeer {
  return {
    peerId: peer_id,
    addresses: addrs,
    userId: meta?.user_id ?? undefined,
    deviceId: meta?.device_id ?? undefined,
    hostname: meta?.hostname ?? undefined,
    lastSeen: last_seen_unix,
  };
}
