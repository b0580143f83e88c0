// What a listing shows: at most a maximum size, loopback addresses only on the same machine, and its ETag and headers.
import { hash } from 'node:crypto';
import { isDirectLoopback } from '../shared/address-class.ts';
import type { Peer } from '../shared/contract.ts';
import { EMPTY_BYTES, MAX_CURSOR_BYTES, SEEN_LENGTH } from './listing-body.ts';
import type { ListedPeer, Page } from './registry/registry.ts';

/**
 * Maximum size of the JSON of a listing, in bytes before compression. `rr` refuses a larger one, and then finds none of
 * its devices.
 */
export const MAX_LISTING_BYTES = 512 * 1024;

/** Length of an ETag, in characters: 132 bits of a hash. */
const TAG_LENGTH = 22;

/** A page and the peers that were left out. */
export interface CutPage extends Page {
  readonly omitted: readonly ListedPeer[];
}

/**
 * Leaves out the peers at the end, which are the longest unseen, above `MAX_LISTING_BYTES`, and hubs last. A page that was
 * requested as a page continues there, so it loses nothing.
 */
export function cutPage<T extends Page>(page: T, isPaged: boolean): T & CutPage {
  // The sort is stable.
  const hasHub = !isPaged && page.peers.some(({ isHub }) => isHub === true);
  const inOrder = hasHub
    ? page.peers.toSorted((a, b) => Number(b.isHub === true) - Number(a.isHub === true))
    : page.peers;
  // Each peer counts with a comma, and the last one has none.
  let bytes = EMPTY_BYTES - 1 + (isPaged ? MAX_CURSOR_BYTES : 0);
  const fitting = inOrder.findIndex((peer) => {
    // The JSON of a peer without its last brace, the time, and a comma.
    bytes += Buffer.byteLength(peer.json) - 1 + SEEN_LENGTH + 1;
    return bytes > MAX_LISTING_BYTES;
  });
  if (fitting === -1) return { ...page, omitted: [] };
  const peers = inOrder.slice(0, fitting);
  if (isPaged) return { ...page, peers, omitted: [], next: peers.at(-1)?.peerId };
  const kept = new Set(peers);
  return { ...page, peers: page.peers.filter((peer) => kept.has(peer)), omitted: inOrder.slice(fitting) };
}

/** The page without direct loopback addresses, which are of no use to a device on another machine. */
export function withoutLoopback<T extends Page>(page: T): T {
  return { ...page, peers: page.peers.map(hideLoopback) };
}

/** Whether the JSON may contain a loopback address. Most devices have none, and their JSON need not be parsed. */
const MAY_HAVE_LOOPBACK = /\/ip4\/127\.|\/ip6\/|localhost/i;

/** The peer without its direct loopback addresses. */
export function hideLoopback(peer: ListedPeer): ListedPeer {
  if (!MAY_HAVE_LOOPBACK.test(peer.json)) return peer;
  const fields = JSON.parse(peer.json) as Peer;
  const addrs = fields.addrs.filter((addr) => !isDirectLoopback(addr));
  if (addrs.length === fields.addrs.length) return peer;
  const { peerId, seenUnixMicros, isHub = false } = peer;
  return { peerId, seenUnixMicros, isHub, json: JSON.stringify({ ...fields, addrs }) };
}

/**
 * A weak ETag of the devices and their registrations without the times, so that a heartbeat alone does not change it.
 * Peers are sorted by id, because the order of a listing changes with every registration.
 */
export function listingTag(peers: readonly ListedPeer[]): string {
  const sorted = peers.toSorted((a, b) => (a.peerId < b.peerId ? -1 : 1)).map(({ json }) => json);
  return `W/"${hash('sha256', sorted.join(), 'base64url').slice(0, TAG_LENGTH)}"`;
}

/** Whether an `If-None-Match` header contains the tag, by weak comparison (RFC 9110 section 13.1.2). */
export function matchesTag(ifNoneMatch: string | undefined, tag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  if (ifNoneMatch === tag) return true;
  return ifNoneMatch
    .split(',')
    .map((candidate) => candidate.trim())
    .some((candidate) => candidate === '*' || candidate === tag || `W/${candidate}` === tag);
}

/** The headers of a stale listing, with its age. */
export function staleHeaders({ staleForSeconds }: Page): Record<string, string> {
  if (staleForSeconds === undefined) return {};
  return { Warning: '110 - "Response is Stale"', 'X-Rustory-Stale': String(Math.ceil(staleForSeconds)) };
}
