// Formats a listing: its JSON, which is streamed in chunks when it is long, its ETag and its headers.
import { hash } from 'node:crypto';
import { encodeCursor } from './list-query.ts';
import type { ListedPeer, Page } from './registry/registry.ts';

/** Peers in one chunk. Longer listings are streamed, so that a slow reader does not keep a whole copy in memory. */
const PIECE_PEERS = 500;

/** Length of an ETag, in characters: 132 bits of a hash. */
const TAG_LENGTH = 22;

/**
 * The body of a listing.
 *
 * @param isPaged whether to write `next_cursor`; released clients do not support it and request no pages
 */
export function listingBody({ peers, next }: Page, isPaged: boolean): string | ReadableStream<Uint8Array> {
  const end = isPaged
    ? `],"next_cursor":${next === undefined ? 'null' : JSON.stringify(encodeCursor(next))}}`
    : ']}';
  if (peers.length <= PIECE_PEERS) return `{"peers":[${peers.map(peerJson).join(',')}${end}`;
  const encoder = new TextEncoder();
  let written = 0;
  return new ReadableStream({
    pull(controller) {
      const piece = peers
        .slice(written, written + PIECE_PEERS)
        .map(peerJson)
        .join(',');
      const start = written === 0 ? '{"peers":[' : ',';
      written += PIECE_PEERS;
      controller.enqueue(encoder.encode(`${start}${piece}${written < peers.length ? '' : end}`));
      if (written >= peers.length) controller.close();
    },
  });
}

/** The registered JSON object with the time of the last registration added. */
function peerJson({ json, seenUnixMicros }: ListedPeer): string {
  const seenUnixMs = Math.floor(seenUnixMicros / 1_000);
  const text = new Date(seenUnixMs).toISOString();
  return `${json.slice(0, -1)},"last_seen":"${text}","last_seen_unix":${Math.floor(seenUnixMs / 1_000)}}`;
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
