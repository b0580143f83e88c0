// Reads one page of the store for a response: deletions first, then entries, up to the limit and the target size.
import { toWire } from '../history/entry.ts';
import type { Store } from '../history/store.ts';
import type { EncodedPage, PullRequest } from './sync-protocol.ts';

/** Target size of a response in bytes of JSON. Requesters ask for the next page until one is empty. */
const RESPONSE_TARGET_BYTES = 4 * 1024 * 1024;

export const EMPTY_PAGE: EncodedPage = {
  entries: [],
  nextCursor: undefined,
  deletions: [],
  nextDeleteCursor: undefined,
};

export function readPage(store: Store, { cursor, deleteCursor, limit }: PullRequest): EncodedPage {
  const [entries, deletions]: [string[], string[]] = [[], []];
  let [nextCursor, nextDeleteCursor]: [number | undefined, number | undefined] = [undefined, undefined];
  let bytes = 0;
  /** Whether the item belongs to this page. The first item does regardless of its size; otherwise no page could hold it. */
  const fits = (json: string): boolean => {
    bytes += Buffer.byteLength(json) + 1;
    return bytes <= RESPONSE_TARGET_BYTES || entries.length + deletions.length === 0;
  };
  if (deleteCursor !== undefined)
    store.readDeletionsAfter(deleteCursor, limit, ({ seq, deletion }) => {
      const json = JSON.stringify(deletion);
      if (!fits(json)) return false;
      deletions.push(json);
      nextDeleteCursor = seq;
      return true;
    });
  const entryLimit = bytes > RESPONSE_TARGET_BYTES ? 0 : limit - deletions.length;
  store.readAfter(cursor, entryLimit, ({ seq, entry }) => {
    const json = JSON.stringify(toWire(entry));
    if (!fits(json)) return false;
    entries.push(json);
    nextCursor = seq;
    return true;
  });
  return {
    entries,
    nextCursor,
    deletions: deleteCursor === undefined ? undefined : deletions,
    nextDeleteCursor,
  };
}
