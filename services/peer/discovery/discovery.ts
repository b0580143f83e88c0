// Finds the other devices of this user: asks all trackers at once, and falls back to the peer book when no tracker
// lists any.
import { describeError } from '../../shared/errors.ts';
import type { KnownPeer, PeerBook } from './peer-book.ts';
import type { PeerList, TrackerClient } from './tracker-client.ts';

/** Maximum age of a record of the peer book in seconds: one week. */
const PEER_BOOK_MAX_AGE_SECONDS = 7 * 24 * 60 * 60;

/** Maximum peers of one round; the peers that were seen longest ago are left out. */
export const MAX_PEERS = 1000;

export interface Discovery {
  readonly peers: readonly KnownPeer[];
  readonly source: 'trackers' | 'peer book';
  /** One sentence for each tracker that failed. */
  readonly problems: readonly string[];
  /** One sentence for each tracker whose list has entries that were skipped. */
  readonly warnings: readonly string[];
}

export interface DiscoveryDeps {
  readonly trackers: readonly TrackerClient[];
  readonly peerBook: PeerBook;
  readonly userId: string;
  /** The peer id of this device, which is left out of the result. */
  readonly ownPeerId: string;
  readonly nowUnixSeconds: () => number;
}

/** Asks each tracker once. A tracker that fails is reported, not thrown. The peers found are saved in the peer book. */
export async function discover(deps: DiscoveryDeps, signal?: AbortSignal): Promise<Discovery> {
  const { trackers, peerBook, userId, ownPeerId, nowUnixSeconds } = deps;
  const answers = await Promise.allSettled(trackers.map(async (tracker) => tracker.list(userId, signal)));
  signal?.throwIfAborted();
  const problems: string[] = [];
  const warnings: string[] = [];
  const listed: KnownPeer[] = [];
  for (const [position, answer] of answers.entries()) {
    if (answer.status === 'rejected') {
      problems.push(`${describeError(answer.reason)}.`);
      continue;
    }
    listed.push(...answer.value.peers);
    warnings.push(...describeSkipped(trackers[position]?.url ?? '', answer.value));
  }
  const found = mergeNewest(listed.filter(({ peerId }) => peerId !== ownPeerId));
  if (found.length > 0) {
    peerBook.remember(found);
    return { peers: found, source: 'trackers', problems, warnings };
  }
  // A tracker that has just started lists no peers yet, so an empty list does not mean that there are none.
  const sinceUnixSeconds = nowUnixSeconds() - PEER_BOOK_MAX_AGE_SECONDS;
  const remembered = peerBook.recall(userId, sinceUnixSeconds, MAX_PEERS);
  const peers = remembered.filter(({ peerId }) => peerId !== ownPeerId);
  return { peers, source: 'peer book', problems, warnings };
}

function describeSkipped(url: string, { skipped }: PeerList): string[] {
  if (skipped === 0) return [];
  const entries = skipped === 1 ? '1 entry that is' : `${skipped} entries that are`;
  return [`The list of the tracker ${url} has ${entries} not valid. The other entries are used.`];
}

/** Keeps the newest record of each peer, and orders the peers by when they were last seen. */
function mergeNewest(peers: readonly KnownPeer[]): KnownPeer[] {
  const newest = new Map<string, KnownPeer>();
  for (const peer of peers) {
    const known = newest.get(peer.peerId);
    if (known === undefined || known.lastSeenUnixSeconds < peer.lastSeenUnixSeconds)
      newest.set(peer.peerId, peer);
  }
  return [...newest.values()]
    .toSorted((a, b) => b.lastSeenUnixSeconds - a.lastSeenUnixSeconds)
    .slice(0, MAX_PEERS);
}
