// The bodies of the last listings. Devices that ask for the same version of a listing in the same view share one body.
import { cutPage, listingBody, listingTag, withoutLoopback } from './listing.ts';
import type { ListedPeer, ListQuery, Page } from './registry/registry.ts';

/** Maximum bytes of all cached bodies and of the records that they were made of. The longest unused are evicted. */
export const MAX_CACHED_LISTING_BYTES = 6 * 1024 * 1024;

/** Minimum size of a cached body, in characters of its records. Shorter ones are made faster than they are found. */
const MIN_CACHED_LENGTH = 2 * 1024;

/** A listing as it is sent. */
export interface Listing {
  /** A buffer is shared, a text is short. */
  readonly body: string | Buffer<ArrayBuffer>;
  readonly tag: string;
  /** The number of peers that were left out because of the maximum size. */
  readonly omitted: number;
}

interface Entry extends Listing {
  readonly key: string;
  /** What the body was made of. The records of a page may change afterwards. */
  readonly next: string | undefined;
  readonly records: readonly Pick<ListedPeer, 'json' | 'seenUnixMicros'>[];
  readonly bytes: number;
}

/** The listings of one page of the registry, for clients on the same machine and for others. */
interface PageListings {
  local?: Entry;
  remote?: Entry;
}

/** Bytes of a cached listing in addition to its body, its key and its records, and of each record. */
const ENTRY_BYTES = 512;
const RECORD_BYTES = 48;

export interface ListingCache {
  /**
   * The listing of a page of the registry.
   *
   * @param isLocal whether to show loopback addresses
   */
  listing(page: Page, query: ListQuery, isLocal: boolean): Listing;
  /** Bytes of all cached listings. */
  bytes(): number;
}

export function createListingCache(maxBytes: number = MAX_CACHED_LISTING_BYTES): ListingCache {
  // Longest unused first.
  const entries = new Map<string, Entry>();
  // A registry returns the same page while nothing changes.
  const pages = new WeakMap<Page, PageListings>();
  let bytes = 0;

  function drop(key: string): void {
    bytes -= entries.get(key)?.bytes ?? 0;
    entries.delete(key);
  }

  function use(entry: Entry): Entry {
    entries.delete(entry.key);
    entries.set(entry.key, entry);
    return entry;
  }

  function keep(entry: Entry): void {
    entries.set(entry.key, entry);
    bytes += entry.bytes;
    for (const oldest of entries.keys()) {
      if (bytes <= maxBytes) break;
      drop(oldest);
    }
  }

  function find(page: Page, query: ListQuery, isLocal: boolean): Listing {
    const recordsLength = lengthOf(page);
    const isPaged = query.limit !== undefined;
    const shown = isLocal ? page : withoutLoopback(page);
    if (recordsLength < MIN_CACHED_LENGTH) return createListing(shown, isPaged);
    const { userId = null, limit = null, after = null, star } = query;
    const key = JSON.stringify([isLocal, userId, limit, after, star !== undefined, page.own ?? null]);
    const last = entries.get(key);
    if (last !== undefined && isSame(last, page)) return use(last);
    drop(key);
    // The hash of the tag costs more than the rest, and a heartbeat changes only times.
    const tag = last !== undefined && !isPaged && hasSameRecords(last, page) ? last.tag : undefined;
    const text = createListing(shown, isPaged, tag);
    const body = Buffer.from(text.body);
    const records = page.peers.map(({ json, seenUnixMicros }) => ({ json, seenUnixMicros }));
    const size = body.byteLength + recordsLength + key.length + ENTRY_BYTES + RECORD_BYTES * records.length;
    const entry: Entry = { ...text, body, key, next: page.next, records, bytes: size };
    if (size <= maxBytes) keep(entry);
    return entry;
  }

  return {
    listing(page, query, isLocal) {
      const view = isLocal ? 'local' : 'remote';
      const made = pages.get(page)?.[view];
      // The entry may have been evicted or replaced.
      if (made !== undefined && entries.get(made.key) === made) return use(made);
      const listing = find(page, query, isLocal);
      if (isEntry(listing) && entries.get(listing.key) === listing)
        pages.set(page, { ...pages.get(page), [view]: listing });
      return listing;
    },
    bytes: () => bytes,
  };
}

function isEntry(listing: Listing): listing is Entry {
  return 'key' in listing;
}

/** @param tag the tag of all records, if it is known */
function createListing(page: Page, isPaged: boolean, tag?: string): Listing & { readonly body: string } {
  const cut = cutPage(page, isPaged);
  const omitted = cut.omitted.length;
  const isKnown = tag !== undefined && omitted === 0;
  return { body: listingBody(cut, isPaged), tag: isKnown ? tag : listingTag(cut.peers), omitted };
}

/** Whether a page has the records of an entry with the same times in the same order. */
function isSame({ records, next }: Entry, page: Page): boolean {
  return (
    next === page.next &&
    records.length === page.peers.length &&
    page.peers.every((peer, index) => {
      const record = records[index];
      return record?.seenUnixMicros === peer.seenUnixMicros && record.json === peer.json;
    })
  );
}

/** Whether a page has the records of a complete listing, with any times and in any order. */
function hasSameRecords({ records, omitted }: Entry, { peers }: Page): boolean {
  if (omitted > 0 || records.length !== peers.length) return false;
  const known = new Set(records.map(({ json }) => json));
  return known.size === peers.length && peers.every(({ json }) => known.delete(json));
}

/** Characters of the records of a page. */
function lengthOf({ peers }: Page): number {
  return peers.reduce((sum, { json, peerId }) => sum + json.length + peerId.length, 0);
}
