// Encodes records and decodes indexes for the registry in Redis. Pure functions.
import type { ListedPeer } from './registry.ts';

/** `owner NUL json`. No user id and no JSON has a NUL, and `=` distinguishes an empty user id from an absent one. */
export function encodeRecord(userId: string | null, json: string): string {
  return `${userId === null ? '' : encodeOwner(userId)}\0${json}`;
}

export function encodeOwner(userId: string): string {
  return `=${userId}`;
}

export function decodeOwner(owner: string): string {
  return owner.slice(1);
}

export function decodeRecord(record: string): { userId: string | null; json: string } {
  const end = record.indexOf('\0');
  return { userId: end === 0 ? null : record.slice(1, end), json: record.slice(end + 1) };
}

/** Decodes `[id, score, id, score, …]`. */
export function decodeEntries(flat: readonly string[]): Array<Omit<ListedPeer, 'json'>> {
  const entries: Array<Omit<ListedPeer, 'json'>> = [];
  for (let index = 0; index + 1 < flat.length; index += 2)
    entries.push({ peerId: flat[index] ?? '', seenUnixMicros: Number(flat[index + 1]) });
  return entries;
}
