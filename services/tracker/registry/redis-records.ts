// Encodes records and decodes indexes for the registry in Redis. Pure functions.
import type { ListedPeer } from './registry.ts';
import type { UserPeer } from './star.ts';

/** An entry of an index. */
export type Entry = Omit<ListedPeer, 'json' | 'isHub'>;

/** What the record of a hub has before its JSON: white space, so that trackers without hubs list the JSON as it is. */
const HUB_MARK = ' ';

/**
 * `owner NUL json`. No user id and no JSON has a NUL, and `=` distinguishes an empty user id from an absent one. Only the
 * JSON of a hub begins with a space.
 */
export function encodeRecord(userId: string | null, json: string, isHub = false): string {
  return `${userId === null ? '' : encodeOwner(userId)}\0${isHub ? HUB_MARK : ''}${json}`;
}

export function encodeOwner(userId: string): string {
  return `=${userId}`;
}

export function decodeOwner(owner: string): string {
  return owner.slice(1);
}

export function decodeRecord(record: string): { userId: string | null; json: string; isHub: boolean } {
  const end = record.indexOf('\0');
  const isHub = record.startsWith(HUB_MARK, end + 1);
  const json = record.slice(end + 1 + (isHub ? HUB_MARK.length : 0));
  return { userId: end === 0 ? null : record.slice(1, end), json, isHub };
}

export function decodePeer(entry: Entry, record: string): UserPeer {
  return { ...entry, ...decodeRecord(record) };
}

/** Decodes `[id, score, id, score, …]`. */
export function decodeEntries(flat: readonly string[]): Entry[] {
  const entries: Entry[] = [];
  for (let index = 0; index + 1 < flat.length; index += 2)
    entries.push({ peerId: flat[index] ?? '', seenUnixMicros: Number(flat[index + 1]) });
  return entries;
}
