// Reads the pages of the store for responses: deletions first, then entries, up to the limit and the target size. What cannot
// be sent is left out and reported, and what comes after it is read, because for `rr` an empty page is the end of the history.
import { setImmediate } from 'node:timers/promises';
import { DatabaseError } from '../history/database.ts';
import { readDeletion } from '../history/deletion.ts';
import { toWire } from '../history/entry.ts';
import type { SomeCursors } from '../history/peer-cursors.ts';
import type { Store } from '../history/store.ts';
import type { EncodedPage, PullRequest } from './sync-protocol.ts';

/** Target size of a response in bytes of JSON. Requesters ask for the next page until one is empty. */
const RESPONSE_TARGET_BYTES = 4 * 1024 * 1024;

/** Maximum gaps of each kind that are remembered. The oldest one is forgotten, and read again when it is requested. */
const MAX_GAPS = 1_000;

/** What a page leaves out. */
export interface Unsendable {
  readonly kind: 'entry' | 'deletion';
  /** Its number in this database. */
  readonly seq: number;
  /** Why, as a whole sentence. */
  readonly text: string;
}

export interface PageReader {
  read(request: PullRequest): Promise<EncodedPage>;
}

/** Calls `send` with the items after `seq` until it returns false, and `skip` with those that cannot be sent. */
type ReadItems = (
  seq: number,
  count: number,
  send: (seq: number, item: object) => boolean,
  skip: (seq: number, text: string) => void,
) => void;

/** The part of a page that has one kind of items. */
interface Part {
  readonly items: string[];
  next: number | undefined;
}

/** The size of a page until now. */
interface PageSize {
  bytes: number;
  count: number;
  isFull: boolean;
}

export function createPageReader(store: Store, onUnsendable: (unsendable: Unsendable) => void): PageReader {
  const readers: Readonly<Record<Unsendable['kind'], ReadItems>> = {
    deletion: (seq, count, send, skip) =>
      store.readDeletionsAfter(seq, count, (stored) => {
        const deletion = readDeletion(stored.deletion);
        if (deletion !== undefined) return send(stored.seq, deletion);
        skip(stored.seq, 'The deletion has no valid entry_id.');
        return true;
      }),
    entry: (seq, count, send, skip) =>
      store.readAfter(
        seq,
        count,
        (stored) => send(stored.seq, toWire(stored.entry)),
        (unsendable) => skip(unsendable.seq, unsendable.text),
      ),
  };
  // Where nothing can be sent between a position and a later one. A row never changes, so that it is read only once.
  const gaps = { deletion: new Map<number, number>(), entry: new Map<number, number>() };

  function rememberGap(kind: Unsendable['kind'], from: number, to: number): void {
    gaps[kind].set(from, to);
    for (const oldest of gaps[kind].keys()) {
      if (gaps[kind].size <= MAX_GAPS) break;
      gaps[kind].delete(oldest);
    }
  }

  /** Reads items until there are `limit`, the page is full or there are no more. */
  async function readPart(
    kind: Unsendable['kind'],
    start: number,
    limit: number,
    size: PageSize,
  ): Promise<Part> {
    const part: Part = { items: [], next: undefined };
    const sendsMore = (): boolean => part.items.length < limit && !size.isFull;
    let last = gaps[kind].get(start) ?? start;
    while (sendsMore()) {
      const before = last;
      const send = (seq: number, item: object): boolean => {
        const json = JSON.stringify(item);
        if (!fits(size, json)) return false;
        part.items.push(json);
        part.next = last = seq;
        return true;
      };
      readers[kind](last, limit - part.items.length, send, (seq, text) => {
        last = seq;
        onUnsendable({ kind, seq, text });
      });
      const sent = part.next ?? start;
      if (last > sent) rememberGap(kind, sent, last);
      if (last === before) break;
      // Many items that cannot be sent do not block the event loop.
      if (sendsMore()) await setImmediate();
    }
    return part;
  }

  /** Before they are sent, because the requester returns with these numbers. */
  function noteSent(sent: SomeCursors): void {
    try {
      store.noteSent(sent);
    } catch (error) {
      // A history that cannot be written can still be read.
      if (!(error instanceof DatabaseError)) throw error;
    }
  }

  return {
    async read({ cursor, deleteCursor, limit }) {
      const size: PageSize = { bytes: 0, count: 0, isFull: false };
      const deletions =
        deleteCursor === undefined ? undefined : await readPart('deletion', deleteCursor, limit, size);
      const entries = await readPart('entry', cursor, limit - (deletions?.items.length ?? 0), size);
      noteSent({ cursor: entries.next, deleteCursor: deletions?.next });
      return {
        entries: entries.items,
        nextCursor: entries.next,
        deletions: deletions?.items,
        nextDeleteCursor: deletions?.next,
      };
    },
  };
}

/** Whether the item belongs to the page. The first one does regardless of its size; otherwise no page could hold it. */
function fits(size: PageSize, json: string): boolean {
  size.bytes += Buffer.byteLength(json) + 1;
  size.isFull ||= size.bytes > RESPONSE_TARGET_BYTES && size.count > 0;
  size.count += 1;
  return !size.isFull;
}
