// The last listings as Redis sent them. While Redis sends the same text for a listing, it is the same page, so that neither
// its records are decoded again nor its body is made again.
import { decodeEntries } from './redis-records.ts';
import type { Page } from './registry.ts';

/** Maximum characters of all listings that are kept. The longest unused are dropped. */
const MAX_KEPT_LENGTH = 6 * 1024 * 1024;

type Reply = readonly [ids: string, records: string];

type Entries = ReturnType<typeof decodeEntries>;

interface KnownListing {
  readonly reply: Reply;
  readonly page: Page;
}

export interface KnownListings {
  /**
   * The page of a reply: the last one when the reply is the same.
   *
   * @param decode makes the page of another reply, whose records are `null` where one is missing
   */
  page(key: string, reply: Reply, decode: (entries: Entries, records: (string | null)[]) => Page): Page;
}

export function createKnownListings(maxLength: number = MAX_KEPT_LENGTH): KnownListings {
  // Longest unused first.
  const known = new Map<string, KnownListing>();
  let length = 0;

  function drop(key: string): void {
    const last = known.get(key);
    if (last === undefined) return;
    length -= lengthOf(key, last.reply);
    known.delete(key);
  }

  return {
    page(key, reply, decode) {
      const last = known.get(key);
      if (last !== undefined && last.reply[0] === reply[0] && last.reply[1] === reply[1]) {
        known.delete(key);
        known.set(key, last);
        return last.page;
      }
      drop(key);
      const [ids, records] = reply;
      const entries = decodeEntries(ids === '' ? [] : ids.split(' '));
      const page = decode(entries, splitRecords(records));
      // An index without the records of some entries is repaired each time it is read.
      if (page.peers.length < entries.length) return page;
      known.set(key, { reply, page });
      length += lengthOf(key, reply);
      for (const oldest of known.keys()) {
        if (length <= maxLength) break;
        drop(oldest);
      }
      return page;
    },
  };
}

/** Splits records that are joined by NUL, of which each has one NUL itself. */
function splitRecords(text: string): (string | null)[] {
  const parts = text.split('\0');
  const records: (string | null)[] = [];
  for (let index = 0; index + 1 < parts.length; index += 2) {
    const record = `${parts[index]}\0${parts[index + 1]}`;
    records.push(record === '\0' ? null : record);
  }
  return records;
}

function lengthOf(key: string, [ids, records]: Reply): number {
  return key.length + ids.length + records.length;
}
