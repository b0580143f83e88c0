// Encodes records and decodes indexes for the registry in Redis. Pure functions.
import type { ListQuery, Position } from './registry.ts';

/** `owner NUL json`. No user id and no JSON has a NUL, and `=` distinguishes an empty user id from an absent one. */
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

/** Decodes `[id, score, id, score, …]`. Omits the entries up to and including the position `after`. */
export function decodeEntries(flat: readonly string[], after: ListQuery['after']): Position[] {
  const entries: Position[] = [];
  for (let index = 0; index + 1 < flat.length; index += 2) {
    const peerId = flat[index] ?? '';
    const seenUnixMicros = Number(flat[index + 1]);
    // Redis orders equal scores by name, here descending.
    if (after === undefined || seenUnixMicros < after.seenUnixMicros || peerId < after.peerId)
      entries.push({ peerId, seenUnixMicros });
  }
  return entries;
}
