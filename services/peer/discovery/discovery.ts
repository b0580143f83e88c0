// Finds the other devices of this user: queries all trackers concurrently, and uses the peer book when no tracker lists
// a device.
import { describeError } from '../../shared/errors.ts';
import { isLoopbackHost } from '../../shared/loopback.ts';
import { aborted, anySignal } from '../../shared/signals.ts';
import { withoutLoopback } from '../network/addresses.ts';
import type { KnownPeer, PeerBook } from './peer-book.ts';
import type { Registrations } from './registrations.ts';
import type { PeerList, TrackerClient } from './tracker-client.ts';

/** Maximum age of a record of the peer book in seconds: one week. Older records are ignored. */
const PEER_BOOK_MAX_AGE_SECONDS = 7 * 24 * 60 * 60;

/** Maximum peers of one round. Further peers, which were last seen earlier, are omitted. */
export const MAX_PEERS = 1000;

export interface Discovery {
  readonly peers: readonly KnownPeer[];
  readonly source: 'trackers' | 'peer book';
  /** One sentence for each tracker that failed. */
  readonly problems: readonly string[];
  /** One sentence for each list with skipped entries, and for each tracker that refused to register this device. */
  readonly warnings: readonly string[];
}

export interface DiscoveryDeps {
  readonly trackers: readonly TrackerClient[];
  readonly peerBook: PeerBook;
  readonly userId: string;
  /** The peer id of this device, which is removed from the result. */
  readonly ownPeerId: string;
  readonly nowUnixSeconds: () => number;
  /** The registrations of this device; absent for a command that connects to no device. */
  readonly registrations?: Registrations | undefined;
}

/**
 * Queries each tracker once. Failures are reported, not thrown. The found peers are saved in the peer book. Afterwards
 * this device is registered, because other devices answer only those that a tracker lists.
 */
export async function discover(deps: DiscoveryDeps, signal?: AbortSignal): Promise<Discovery> {
  const { trackers, peerBook, userId, ownPeerId, nowUnixSeconds } = deps;
  const results = await Promise.allSettled(trackers.map(async (tracker) => tracker.list(userId, signal)));
  signal?.throwIfAborted();
  const problems: string[] = [];
  const warnings: string[] = [];
  const listed: KnownPeer[] = [];
  const lists = new Map<string, PeerList>();
  for (const [position, result] of results.entries()) {
    if (result.status === 'rejected') {
      problems.push(`${describeError(result.reason)}.`);
      continue;
    }
    const url = trackers[position]?.url ?? '';
    lists.set(url, result.value);
    listed.push(...result.value.peers);
    warnings.push(...describeSkipped(url, result.value));
  }
  warnings.push(...(await register(lists, deps, signal)));
  const found = usableAddresses(mergeNewest(listed.filter(({ peerId }) => peerId !== ownPeerId)), lists);
  if (found.length > 0) {
    peerBook.remember(found);
    return { peers: found, source: 'trackers', problems, warnings };
  }
  // A tracker that has just started lists no peers yet, so an empty list does not mean that no peers exist.
  const sinceUnixSeconds = nowUnixSeconds() - PEER_BOOK_MAX_AGE_SECONDS;
  const remembered = peerBook.recall(userId, sinceUnixSeconds, MAX_PEERS);
  const peers = remembered.filter(({ peerId }) => peerId !== ownPeerId);
  return { peers, source: 'peer book', problems, warnings };
}

/** Registers this device with the trackers of these lists. @throws the reason of the signal */
async function register(
  lists: ReadonlyMap<string, PeerList>,
  { registrations }: DiscoveryDeps,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  if (registrations === undefined) return [];
  const registered = registrations.ensure(lists);
  const done = new AbortController();
  await Promise.race([registered, aborted(anySignal(signal, done.signal))]);
  done.abort();
  signal?.throwIfAborted();
  return registered;
}

function describeSkipped(url: string, { skipped }: PeerList): string[] {
  if (skipped === 0) return [];
  const entries = skipped === 1 ? '1 entry that is' : `${skipped} entries that are`;
  return [`The list of the tracker ${url} has ${entries} not valid. The other entries are used.`];
}

/**
 * Keeps the newest record of each peer, and sorts the peers by the time when they were last seen. A record without an
 * address does not replace one with addresses: it may be that of a sync, which registers where its device is not listed.
 */
function mergeNewest(peers: readonly KnownPeer[]): KnownPeer[] {
  const newest = new Map<string, KnownPeer>();
  for (const peer of peers) {
    const known = newest.get(peer.peerId);
    if (known === undefined || isBetter(peer, known)) newest.set(peer.peerId, peer);
  }
  return [...newest.values()]
    .toSorted((a, b) => b.lastSeenUnixSeconds - a.lastSeenUnixSeconds)
    .slice(0, MAX_PEERS);
}

function isBetter(peer: KnownPeer, known: KnownPeer): boolean {
  const [hasAddress, hadAddress] = [peer.addresses.length > 0, known.addresses.length > 0];
  return hasAddress === hadAddress ? peer.lastSeenUnixSeconds > known.lastSeenUnixSeconds : hasAddress;
}

/**
 * Removes loopback addresses, which another machine registered, unless a tracker that was reached by loopback lists
 * them: then the peer may be a process on this machine.
 */
function usableAddresses(peers: readonly KnownPeer[], lists: ReadonlyMap<string, PeerList>): KnownPeer[] {
  const local = new Set(
    [...lists]
      .filter(([url]) => isLoopbackHost(new URL(url).hostname))
      .flatMap(([, list]) =>
        list.peers.flatMap(({ peerId, addresses }) => addresses.map((each) => `${peerId} ${each}`)),
      ),
  );
  return peers.map((peer) => ({
    ...peer,
    addresses: peer.addresses.flatMap((address) =>
      local.has(`${peer.peerId} ${address}`) ? address : (withoutLoopback(address) ?? []),
    ),
  }));
}
