// How the registry in Redis writes a record and reads an index; pure text, no Redis.
import type { ListQuery, Position } from './registry.ts';

/** `owner NUL json`. No user id and no JSON has a NUL, and `=` keeps an empty user id apart from none. */
export function encodeRecord(userId: string | null, json: string): string {
  return `${userId === null ? '' : encodeOwner(userId)}\0${json}`;
}

export function encodeOwner(userId: string): string {
  return `=${userId}`;
}

export function decodeRecord(record: string): { userId: string | null; json: string } {
  const end = record.indexOf('\0');
  return { userId: end === 0 ? null : record.slice(1, end), json: record.slice(end + 1) };
}

/** Reads `[id, score, id, score, …]`, without what comes before the place to continue after. */
export function decodeEntries(flat: readonly string[], after: ListQuery['after']): Position[] {
  const entries: Position[] = [];
  for (let at = 0; at + 1 < flat.length; at += 2) {
    const peerId = flat[at] ?? '';
    const seen = Number(flat[at + 1]);
    // Redis orders equal scores by name, backwards here.
    if (after === undefined || seen < after.seen || peerId < after.peerId) entries.push({ peerId, seen });
  }
  return entries;
}
