// Finds the other devices of this user: queries all trackers concurrently, and uses the peer book when no tracker lists
// a device.
import { describeError } from '../../shared/errors.ts';
import { isLoopbackHost } from '../../shared/loopback.ts';
import { aborted, anySignal } from '../../shared/signals.ts';
import { withoutLoopback } from '../network/addresses.ts';
import { type KnownPeer, PEER_BOOK_MAX_AGE_SECONDS, type PeerBook } from './peer-book.ts';
import type { Registrations } from './registrations.ts';
import type { PeerList, TrackerClient } from './tracker-client.ts';

/** Maximum peers that are read from the peer book. */
export const MAX_PEERS = 1000;

/** The start of the addresses that may be loopback. Only these are parsed, because a list may have thousands. */
const MAY_BE_LOOPBACK = /^\/(ip4\/127\.|ip6\/|dns)/i;

export interface Discovery {
  /** The peers to sync with. Revoked ones are not among them. */
  readonly peers: readonly KnownPeer[];
  /** The peer ids that a tracker lists as revoked, or that `rr` has revoked in the database. */
  readonly revoked: ReadonlySet<string>;
  readonly source: 'trackers' | 'peer book';
  /** One sentence for each tracker that failed. */
  readonly problems: readonly string[];
  /** One sentence for each list with skipped entries or without its end, and for each tracker that refused to register this device. */
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
  const asked = ownPeerId === '' ? undefined : ownPeerId;
  const results = await Promise.allSettled(
    trackers.map(async (tracker) => tracker.list(userId, signal, asked)),
  );
  signal?.throwIfAborted();
  const problems: string[] = [];
  const warnings: string[] = [];
  const revoked = peerBook.revoked();
  const listed: KnownPeer[] = [];
  const lists = new Map<string, PeerList>();
  for (const [position, result] of results.entries()) {
    if (result.status === 'rejected') {
      problems.push(`${describeError(result.reason)}.`);
      continue;
    }
    const url = trackers[position]?.url ?? '';
    lists.set(url, result.value);
    listed.push(...capTimes(result.value.peers, nowUnixSeconds()));
    for (const peerId of result.value.revoked ?? []) revoked.add(peerId);
    peerBook.forget(result.value.revoked ?? []);
    warnings.push(...describeSkipped(url, result.value));
  }
  warnings.push(...(await register(lists, deps, signal)));
  const isOther = ({ peerId }: KnownPeer): boolean => peerId !== ownPeerId && !revoked.has(peerId);
  const found = usableAddresses(mergeNewest(listed.filter(isOther)), lists);
  peerBook.remember(found);
  const isComplete = [...lists.values()].every(({ incomplete }) => incomplete === undefined);
  const result = { revoked, problems, warnings };
  if (found.length > 0 && isComplete) return { ...result, peers: found, source: 'trackers' };
  // A tracker that has just started lists no peers yet, so an empty list does not mean that no peers exist.
  const sinceUnixSeconds = nowUnixSeconds() - PEER_BOOK_MAX_AGE_SECONDS;
  const remembered = peerBook.recall(userId, sinceUnixSeconds, MAX_PEERS).filter(isOther);
  if (found.length === 0) return { ...result, peers: remembered, source: 'peer book' };
  // The record in the list is as new as the one in the book, and has the loopback addresses that the book lacks.
  const listedIds = new Set(found.map(({ peerId }) => peerId));
  const missing = remembered.filter(({ peerId }) => !listedIds.has(peerId));
  return { ...result, peers: [...found, ...missing], source: 'trackers' };
}

/** The clock of a tracker, or the tracker itself, must not put a record before all others for years. */
function capTimes(peers: readonly KnownPeer[], nowUnixSeconds: number): KnownPeer[] {
  return peers.map((peer) => ({
    ...peer,
    lastSeenUnixSeconds: Math.min(peer.lastSeenUnixSeconds, nowUnixSeconds),
  }));
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

function describeSkipped(url: string, { skipped, incomplete }: PeerList): string[] {
  const entries = skipped === 1 ? '1 entry that is' : `${skipped} entries that are`;
  const invalid = `The list of the tracker ${url} has ${entries} not valid. The other entries are used.`;
  const cut = `The list of the tracker ${url} was not read completely: ${incomplete}. The next round continues.`;
  return [...(skipped === 0 ? [] : [invalid]), ...(incomplete === undefined ? [] : [cut])];
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
  return [...newest.values()].toSorted((a, b) => b.lastSeenUnixSeconds - a.lastSeenUnixSeconds);
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
      !MAY_BE_LOOPBACK.test(address) || local.has(`${peer.peerId} ${address}`)
        ? address
        : (withoutLoopback(address) ?? []),
    ),
  }));
}
