// The bodies of the last listings. Devices that ask for the same version of a listing in the same view share one body.
import { cutPage, hideLoopback, listingTag, withoutLoopback } from './listing.ts';
import { listingBody, peerJson } from './listing-body.ts';
import { type NextVersion, nextVersion, type Version, versionOf } from './listing-changes.ts';
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

interface Entry extends Listing, Version {
  readonly body: Buffer<ArrayBuffer>;
  readonly key: string;
  readonly next: string | undefined;
  readonly bytes: number;
}

/** The listings of one page of the registry, for clients on the same machine and for others. */
interface PageListings {
  local?: Entry;
  remote?: Entry;
}

/** Bytes of a cached listing in addition to its body, its key and its records, and of each record. */
const ENTRY_BYTES = 512;
const RECORD_BYTES = 52;

export interface ListingCache {
  /**
   * The listing of a page of the registry.
   *
   * @param isLocal whether to show loopback addresses
   */
  listing(page: Page, query: ListQuery, isLocal: boolean): Listing;
  /** The tag of a page of which nothing is left out, if it is known without making its listing. */
  tag(page: Page, isLocal: boolean): string | undefined;
  /** Bytes of all cached listings. */
  bytes(): number;
}

export function createListingCache(maxBytes: number = MAX_CACHED_LISTING_BYTES): ListingCache {
  // Longest unused first.
  const entries = new Map<string, Entry>();
  // A registry returns the same page while nothing changes.
  const pages = new WeakMap<Page, PageListings>();
  // A heartbeat changes only times and the order, and the tag is the same.
  const tags = new WeakMap<object, { local?: string; remote?: string }>();
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
    const show = isLocal ? asItIs : hideLoopback;
    if (recordsLength < MIN_CACHED_LENGTH)
      return createListing(isLocal ? page : withoutLoopback(page), isPaged);
    const { userId = null, limit = null, after = null, star } = query;
    const key = JSON.stringify([isLocal, userId, limit, after, star !== undefined, page.own ?? null]);
    const last = entries.get(key);
    if (last !== undefined && isSame(last, page)) return use(last);
    drop(key);
    const next =
      last !== undefined && isWhole(last) && !isPaged ? nextVersion(last, page.peers, show) : undefined;
    const made =
      next === undefined
        ? createVersion(isLocal ? page : withoutLoopback(page), page, isPaged)
        : { ...next, omitted: 0, tag: tagOf(next, last?.tag, () => page.peers.map(show)) };
    const { body, ends, records, tag, omitted } = made;
    const size = body.byteLength + recordsLength + key.length + ENTRY_BYTES + RECORD_BYTES * records.length;
    const entry: Entry = { body, ends, records, tag, omitted, key, next: page.next, bytes: size };
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
      if (page.content !== undefined && listing.omitted === 0)
        tags.set(page.content, { ...tags.get(page.content), [view]: listing.tag });
      if (isEntry(listing) && entries.get(listing.key) === listing)
        pages.set(page, { ...pages.get(page), [view]: listing });
      return listing;
    },
    tag: ({ content }, isLocal) =>
      content === undefined ? undefined : tags.get(content)?.[isLocal ? 'local' : 'remote'],
    bytes: () => bytes,
  };
}

function isEntry(listing: Listing): listing is Entry {
  return 'key' in listing;
}

function asItIs(peer: ListedPeer): ListedPeer {
  return peer;
}

function createListing(
  shown: Page,
  isPaged: boolean,
): Listing & { readonly body: string; readonly parts: string[] } {
  const cut = cutPage(shown, isPaged);
  const parts = cut.peers.map(peerJson);
  return {
    parts,
    body: listingBody(parts, cut, isPaged),
    tag: listingTag(cut.peers),
    omitted: cut.omitted.length,
  };
}

/** @param shown what is shown of the page */
function createVersion(
  shown: Page,
  { peers }: Page,
  isPaged: boolean,
): Version & Pick<Listing, 'tag' | 'omitted'> {
  const { body, parts, tag, omitted } = createListing(shown, isPaged);
  return { ...versionOf(body, parts, peers), tag, omitted };
}

/** Whether an entry has all peers of its user. */
function isWhole({ omitted, next }: Entry): boolean {
  return omitted === 0 && next === undefined;
}

/** The tag of the next version. Its hash costs more than the rest, and a heartbeat changes only times. */
function tagOf(
  { hasSameRecords }: NextVersion,
  last: string | undefined,
  shown: () => readonly ListedPeer[],
): string {
  return hasSameRecords && last !== undefined ? last : listingTag(shown());
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

/** Characters of the records of a page. */
function lengthOf({ peers }: Page): number {
  return peers.reduce((sum, { json, peerId }) => sum + json.length + peerId.length, 0);
}
