// One deletion of an entry, in the store and on the wire. Every deletion from a peer is validated here.
import { isLabel } from './entry-rules.ts';

/** The names are those of the database and of the wire. */
export interface Deletion {
  readonly entry_id: string;
  /** The user and the device that deleted the entry. */
  readonly user_id: string;
  readonly device_id: string;
  /** In Unix seconds. Of two deletions of one entry the later one is kept. */
  readonly deleted_at: number;
}

/**
 * Checks a deletion that comes from a peer, or that is about to be sent. A deletion that was received counts as
 * acknowledged, and a forgotten one restores the entry. Therefore only the id is required, and other fields that are not
 * valid are replaced. Without a valid id the result is `undefined`, because no entry can have that id.
 */
export function readDeletion(value: unknown): Deletion | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const {
    entry_id: entryId,
    user_id: userId,
    device_id: deviceId,
    deleted_at: deletedAt,
  } = value as Record<string, unknown>;
  if (!isLabel(entryId) || entryId === '') return undefined;
  return {
    entry_id: entryId,
    user_id: isLabel(userId) ? userId : '',
    device_id: isLabel(deviceId) ? deviceId : '',
    deleted_at: readTime(deletedAt),
  };
}

/** A time that is not a number is the earliest one, so that any other deletion of the entry replaces it. */
function readTime(value: unknown): number {
  if (typeof value !== 'number') return 0;
  return Math.trunc(Math.max(-Number.MAX_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, value)));
}
