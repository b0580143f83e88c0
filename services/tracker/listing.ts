// How a listing is asked for and written: the JSON clients parse, in pieces when it is long, its ETag, and the cursors of pages.
import { hash } from 'node:crypto';
import { boundedString } from '../shared/contract.ts';
import type { ListedPeer, ListQuery, Page, Position } from './registry/registry.ts';
import { DEFAULT_PAGE, MAX_PAGE } from './routes.ts';

/** Peers written in one piece; longer listings are streamed, so that a slow reader holds no whole copy. */
const PIECE = 500;

/** Characters of a tag: 132 bits of its hash. */
const TAG_LENGTH = 22;

/** Longest cursor worth reading, in characters. */
const MAX_CURSOR_LENGTH = 256;

/** The body of a listing. `next_cursor` is written only when pages were asked for: released clients know none. */
export function listingBody({ peers, next }: Page, paged: boolean): string | ReadableStream<Uint8Array> {
  const end = paged
    ? `],"next_cursor":${next === undefined ? 'null' : JSON.stringify(encodeCursor(next))}}`
    : ']}';
  if (peers.length <= PIECE) return `{"peers":[${peers.map(peerJson).join(',')}${end}`;
  const encoder = new TextEncoder();
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      const piece = peers
        .slice(at, at + PIECE)
        .map(peerJson)
        .join(',');
      const start = at === 0 ? '{"peers":[' : ',';
      at += PIECE;
      controller.enqueue(encoder.encode(`${start}${piece}${at < peers.length ? '' : end}`));
      if (at >= peers.length) controller.close();
    },
  });
}

/** Adds when the peer was seen to the object it registered. */
function peerJson({ json, seen }: ListedPeer): string {
  const milliseconds = Math.floor(seen / 1_000);
  const text = new Date(milliseconds).toISOString();
  return `${json.slice(0, -1)},"last_seen":"${text}","last_seen_unix":${Math.floor(milliseconds / 1_000)}}`;
}

/**
 * A weak tag over who is listed and with what, not over when they were seen: a heartbeat alone does not change it.
 * Peers are taken in the order of their ids, because the newest registration is first in a listing.
 */
export function listingTag(peers: readonly ListedPeer[]): string {
  const inOrder = peers.toSorted((a, b) => (a.peerId < b.peerId ? -1 : 1)).map(({ json }) => json);
  return `W/"${hash('sha256', inOrder.join(), 'base64url').slice(0, TAG_LENGTH)}"`;
}

/** Whether an `If-None-Match` names the tag, compared weakly (RFC 9110 section 13.1.2). */
export function matchesTag(ifNoneMatch: string | undefined, tag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  return ifNoneMatch
    .split(',')
    .map((given) => given.trim())
    .some((given) => given === '*' || given === tag || `W/${given}` === tag);
}

export function encodeCursor({ seen, peerId }: Position): string {
  return Buffer.from(`${seen}.${peerId}`).toString('base64url');
}

export function decodeCursor(cursor: string): Position | undefined {
  if (cursor.length > MAX_CURSOR_LENGTH) return undefined;
  const match = /^(\d{1,16})\.([0-9A-Za-z]+)$/.exec(Buffer.from(cursor, 'base64url').toString('latin1'));
  if (match === null) return undefined;
  return { seen: Number(match[1]), peerId: match[2] ?? '' };
}

/** The query of a listing, or what is wrong with it. */
export function readListQuery(given: Record<string, string>): ListQuery | string {
  const { user_id: userId, limit, cursor } = given;
  if (userId !== undefined && !boundedString.safeParse(userId).success)
    return 'user_id is too long or not well-formed';
  if (limit !== undefined && !(/^\d{1,4}$/.test(limit) && Number(limit) >= 1 && Number(limit) <= MAX_PAGE))
    return `limit must be a whole number from 1 to ${MAX_PAGE}`;
  if (cursor === undefined) return { userId, limit: limit === undefined ? undefined : Number(limit) };
  const after = decodeCursor(cursor);
  if (after === undefined) return 'cursor is none that this API gave; begin again without it';
  return { userId, limit: Number(limit ?? DEFAULT_PAGE), after };
}

/** Says how old a listing is that could not be made anew. */
export function staleHeaders({ staleForSeconds }: Page): Record<string, string> {
  if (staleForSeconds === undefined) return {};
  return { Warning: '110 - "Response is Stale"', 'X-Rustory-Stale': String(Math.ceil(staleForSeconds)) };
}
