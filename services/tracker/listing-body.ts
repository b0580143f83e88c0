// The JSON of a listing: the registered JSON of each peer with the time of its last registration.
import { encodeCursor, MAX_CURSOR_LENGTH } from './list-query.ts';
import type { ListedPeer, Page } from './registry/registry.ts';

export const START = '{"peers":[';
export const END = ']}';

/** Bytes of a listing without peers. */
export const EMPTY_BYTES = START.length + END.length;

/** `,"next_cursor":"…"` at its maximum length. */
export const MAX_CURSOR_BYTES = ',"next_cursor":""'.length + MAX_CURSOR_LENGTH;

/**
 * The body of a listing.
 *
 * @param parts the peers, from `peerJson`
 * @param isPaged whether to write `next_cursor`; released clients do not support it and request no pages
 */
export function listingBody(parts: readonly string[], { next }: Page, isPaged: boolean): string {
  const end = isPaged
    ? `],"next_cursor":${next === undefined ? 'null' : JSON.stringify(encodeCursor(next))}}`
    : END;
  return `${START}${parts.join(',')}${end}`;
}

/** Length of what `seenJson` adds, from the year 2001 on. */
export const SEEN_LENGTH = ',"last_seen":"2026-11-28T12:00:00.000Z","last_seen_unix":1795867200}'.length;

/** The registered JSON object with the time of the last registration added. */
export function peerJson(peer: ListedPeer): string {
  return `${peer.json.slice(0, -1)}${seenJson(peer)}`;
}

/** The time of the last registration, in ASCII, and the end of the object. */
function seenJson({ seenUnixMicros }: ListedPeer): string {
  const seenUnixMs = Math.floor(seenUnixMicros / 1_000);
  const seconds = Math.floor(seenUnixMs / 1_000);
  const milliseconds = String(seenUnixMs - seconds * 1_000).padStart(3, '0');
  return `,"last_seen":"${dateOf(seconds)}.${milliseconds}Z","last_seen_unix":${seconds}}`;
}

let datedSeconds = Number.NaN;
let date = '';

/** The date of a second without its end. The last one is kept, because the devices of a listing are in order of time. */
function dateOf(seconds: number): string {
  if (seconds !== datedSeconds) {
    date = new Date(seconds * 1_000).toISOString().slice(0, -'.000Z'.length);
    datedSeconds = seconds;
  }
  return date;
}
