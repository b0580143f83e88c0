// The bodies of the last listings. Devices that ask for the same version of a listing in the same view share one body.
import { cutPage, listingBody, listingTag, withoutLoopback } from './listing.ts';
import type { ListQuery, Page } from './registry/registry.ts';

/** Maximum bytes of all cached bodies and of the records that they were made of. The longest unused are evicted. */
export const MAX_CACHED_LISTING_BYTES = 6 * 1024 * 1024;

/** Minimum size of a cached body, in characters of its records. Shorter ones are made faster than they are found. */
const MIN_CACHED_LENGTH = 16 * 1024;

/** A listing as it is sent. */
export interface Listing {
  /** A buffer is shared, a text is short. */
  readonly body: string | Buffer<ArrayBuffer>;
  readonly tag: string;
  /** The number of peers that were left out because of the maximum size. */
  readonly omitted: number;
}

interface Entry extends Listing {
  readonly page: Page;
  readonly bytes: number;
}

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
  let bytes = 0;

  function drop(key: string): void {
    bytes -= entries.get(key)?.bytes ?? 0;
    entries.delete(key);
  }

  return {
    listing(page, query, isLocal) {
      const recordsLength = lengthOf(page);
      const isPaged = query.limit !== undefined;
      const create = () => createListing(isLocal ? page : withoutLoopback(page), isPaged);
      if (recordsLength < MIN_CACHED_LENGTH) return create();
      const { userId = null, limit = null, after = null, star } = query;
      const key = JSON.stringify([isLocal, userId, limit, after, star !== undefined, page.own ?? null]);
      const last = entries.get(key);
      if (last !== undefined && isSame(last.page, page)) {
        entries.delete(key);
        entries.set(key, last);
        return last;
      }
      drop(key);
      const text = create();
      const body = Buffer.from(text.body);
      const listing = { ...text, body };
      const entry = { ...listing, page, bytes: body.byteLength + recordsLength + key.length };
      if (entry.bytes > maxBytes) return listing;
      entries.set(key, entry);
      bytes += entry.bytes;
      for (const oldest of entries.keys()) {
        if (bytes <= maxBytes) break;
        drop(oldest);
      }
      return listing;
    },
    bytes: () => bytes,
  };
}

function createListing(page: Page, isPaged: boolean): Listing & { readonly body: string } {
  const cut = cutPage(page, isPaged);
  return { body: listingBody(cut, isPaged), tag: listingTag(cut.peers), omitted: cut.omitted.length };
}

/** Whether two pages have the same records in the same order. Most records of a registry are the same objects. */
function isSame(a: Page, b: Page): boolean {
  return (
    a.next === b.next &&
    a.peers.length === b.peers.length &&
    a.peers.every((peer, index) => {
      const other = b.peers[index];
      return other === peer || (other?.seenUnixMicros === peer.seenUnixMicros && other.json === peer.json);
    })
  );
}

/** Characters of the records of a page. */
function lengthOf({ peers }: Page): number {
  return peers.reduce((sum, { json, peerId }) => sum + json.length + peerId.length, 0);
}
