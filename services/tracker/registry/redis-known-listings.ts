// The last listings as Redis sent them. Redis does not send a listing again that is known. Of another one only the records
// that changed are decoded, and while only times and the order differ it has the same content.
import { decodeEntries, decodePeer, type Entry } from './redis-records.ts';
import type { ListingReply } from './redis-whole-scripts.ts';
import type { Page } from './registry.ts';
import type { UserPeer } from './star.ts';

/** Maximum characters of all listings that are kept, with those of objects. The longest unused are dropped. */
const MAX_KEPT_LENGTH = 6 * 1024 * 1024;

/** What the objects of a listing and of each record use, in characters. */
const OBJECTS_LENGTH = 256;

interface KnownPeer {
  /** As it is in Redis. */
  readonly record: string;
  readonly peer: UserPeer;
}

export interface KnownListing {
  /**
   * Computed by Redis with SHA-1, the only hash that its scripts have. Whoever makes two records with one hash can only hide
   * that the one device registered the other record, until any device of the listing registers.
   */
  readonly digest: string;
  readonly page: Page & { readonly content: object };
  readonly peers: ReadonlyMap<string, KnownPeer>;
  readonly length: number;
}

type DecodePeer = (entry: Entry, record: string) => UserPeer;

export interface KnownListings {
  /** The last listing, which Redis need not send again. */
  recall(key: string): KnownListing | undefined;
  /**
   * The page of a reply: the last one when Redis did not send it again.
   *
   * @param last what `recall` returned when the reply was requested
   * @param decode makes the peers of another reply, whose records are `null` where one is missing
   */
  page(
    key: string,
    last: KnownListing | undefined,
    reply: ListingReply,
    decode: (entries: Entry[], records: (string | null)[], decodeEach: DecodePeer) => UserPeer[],
  ): Page;
}

export function createKnownListings(maxLength: number = MAX_KEPT_LENGTH): KnownListings {
  // Longest unused first.
  const known = new Map<string, KnownListing>();
  let length = 0;

  function drop(key: string): void {
    length -= known.get(key)?.length ?? 0;
    known.delete(key);
  }

  function keep(key: string, listing: KnownListing): void {
    drop(key);
    known.set(key, listing);
    length += listing.length;
    for (const oldest of known.keys()) {
      if (length <= maxLength) break;
      drop(oldest);
    }
  }

  return {
    recall: (key) => known.get(key),
    page(key, last, reply, decode) {
      if (typeof reply === 'string') {
        if (last === undefined) throw new Error('Redis did not send a listing that is not known.');
        keep(key, last);
        return last.page;
      }
      const [digest, ids, records] = reply;
      const entries = decodeEntries(ids.flatMap((piece) => piece.split(' ')));
      const kept = new Map<string, KnownPeer>();
      let isSame = true;
      let size = key.length + OBJECTS_LENGTH;
      const peers = decode(entries, records.flatMap(splitRecords), (entry, record) => {
        const old = last?.peers.get(entry.peerId);
        const now = old?.record === record ? repeated(old, entry) : decoded(entry, record);
        isSame &&= old?.record === record;
        kept.set(now.peer.peerId, now);
        size += record.length + entry.peerId.length + OBJECTS_LENGTH;
        return now.peer;
      });
      // An index without the records of some entries is repaired each time it is read, and of an empty one nothing is known.
      if (peers.length < entries.length || peers.length === 0) {
        drop(key);
        return { peers };
      }
      const content = isSame && last?.peers.size === kept.size ? last.page.content : {};
      const page = { peers, content };
      keep(key, { digest, page, peers: kept, length: size });
      return page;
    },
  };
}

function repeated(old: KnownPeer, { seenUnixMicros }: Entry): KnownPeer {
  return old.peer.seenUnixMicros === seenUnixMicros ? old : { ...old, peer: { ...old.peer, seenUnixMicros } };
}

/** Copies the texts, which otherwise keep the pieces that they were parts of. */
function decoded({ peerId, seenUnixMicros }: Entry, record: string): KnownPeer {
  const copy = Buffer.from(record).toString();
  return { record: copy, peer: decodePeer({ peerId: Buffer.from(peerId).toString(), seenUnixMicros }, copy) };
}

/** Splits records that are joined by NUL, of which each has one NUL itself. */
function splitRecords(text: string): (string | null)[] {
  const records: (string | null)[] = [];
  for (let start = 0; start <= text.length;) {
    const next = text.indexOf('\0', text.indexOf('\0', start) + 1);
    const end = next === -1 ? text.length : next;
    const record = text.slice(start, end);
    records.push(record === '\0' ? null : record);
    start = end + 1;
  }
  return records;
}
