// Collects what the next push to a peer contains: own deletions first, then own entries, up to the limit and the target
// size, and the position of the peer after it.
import { toWire } from '../history/entry.ts';
import type { SomeCursors } from '../history/peer-cursors.ts';
import type { Owner, PushPosition, PushStore } from '../history/push-store.ts';
import type { EncodedPush } from './push-protocol.ts';

/**
 * Target size of a push in bytes of JSON: far below the maximum of the protocol, and little enough that a slow connection
 * delivers it before a timeout. A single larger entry has a push of its own.
 */
export const PUSH_TARGET_BYTES = 4 * 1024 * 1024;

/** What a push may contain. */
export interface BatchLimits {
  /** Maximum entries and deletions together. */
  readonly items: number;
  /** Maximum bytes of JSON, except for a single item. */
  readonly bytes: number;
}

export interface PushBatch {
  readonly request: EncodedPush;
  readonly entries: number;
  readonly deletions: number;
  readonly bytes: number;
  /**
   * The position after this push: that of its last items or, where nothing of this device follows, the end of the database.
   * Without such a move what other devices made would count as missing at the peer.
   */
  readonly to: SomeCursors;
  /** Whether nothing follows. */
  readonly isLast: boolean;
}

type BatchStore = Pick<PushStore, 'highest' | 'readEntries' | 'readDeletions'>;

/** Reads the batch after a position. */
export function readBatch(
  store: BatchStore,
  owner: Owner,
  { cursor, deleteCursor }: PushPosition,
  limits: BatchLimits,
): PushBatch {
  // Before the rows, so that what is stored meanwhile is behind it.
  const highest = store.highest();
  let [bytes, count, isFull] = [0, 0, false];
  const collect = (items: string[]) => (value: object) => {
    const json = JSON.stringify(value);
    const size = Buffer.byteLength(json) + 1;
    isFull ||= count >= limits.items || (count > 0 && bytes + size > limits.bytes);
    if (isFull) return false;
    items.push(json);
    bytes += size;
    count += 1;
    return true;
  };
  const [deletions, entries]: [string[], string[]] = [[], []];
  let [lastDeletion, lastEntry]: [number | undefined, number | undefined] = [undefined, undefined];
  const addDeletion = collect(deletions);
  store.readDeletions(owner, deleteCursor, (seq, deletion) => {
    if (!addDeletion(deletion)) return false;
    lastDeletion = seq;
    return true;
  });
  const deleteTo = isFull ? lastDeletion : Math.max(highest.deleteCursor, lastDeletion ?? 0);
  const addEntry = collect(entries);
  if (!isFull)
    store.readEntries(owner, cursor, (seq, entry) => {
      if (!addEntry(toWire(entry))) return false;
      lastEntry = seq;
      return true;
    });
  const entryTo = isFull ? lastEntry : Math.max(highest.cursor, lastEntry ?? 0);
  return {
    request: { entries, deletions: deletions.length === 0 ? undefined : deletions },
    entries: entries.length,
    deletions: deletions.length,
    bytes,
    to: {
      cursor: above(entryTo, cursor),
      deleteCursor: above(deleteTo, deleteCursor),
    },
    isLast: !isFull,
  };
}

/** A position, unless it would not move. */
function above(position: number | undefined, current: number): number | undefined {
  return position !== undefined && position > current ? position : undefined;
}
