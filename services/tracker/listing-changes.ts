// Makes the next version of a long listing from the last one. Of the devices of a listing a few register between two requests,
// so only these are serialized, and the bytes of the others are copied.
import { EMPTY_BYTES, END, peerJson, START } from './listing-body.ts';
import { MAX_LISTING_BYTES } from './listing.ts';
import type { ListedPeer } from './registry/registry.ts';

/** Maximum peers that registered since the last version. Each is searched in all of it. Above this limit a listing is made anew. */
const MAX_CHANGES = 64;

/** What a peer was serialized from. The records of a page may change afterwards. */
export type ListedRecord = Pick<ListedPeer, 'json' | 'seenUnixMicros'>;

/** A whole listing. */
export interface Version {
  readonly records: readonly ListedRecord[];
  readonly body: Buffer<ArrayBuffer>;
  /** Where the JSON of each peer ends in the body, in bytes. */
  readonly ends: Uint32Array;
}

export interface NextVersion extends Version {
  /** Whether only the times and the order differ. */
  readonly hasSameRecords: boolean;
}

/** The version of parts that were serialized, and joined to a text. */
export function versionOf(text: string, parts: readonly string[], peers: readonly ListedPeer[]): Version {
  const body = Buffer.from(text);
  const isOneByte = body.byteLength === text.length;
  const ends = new Uint32Array(parts.length);
  let end = START.length - 1;
  for (const [index, part] of parts.entries()) {
    end += 1 + (isOneByte ? part.length : Buffer.byteLength(part));
    ends[index] = end;
  }
  return { body, ends, records: peers.map(recordOf) };
}

/**
 * The next version, with the same bytes as if it was made anew; `undefined` when too much changed, or when it is larger than
 * a listing may be.
 *
 * @param show what of a peer is shown
 */
export function nextVersion(
  last: Version,
  peers: readonly ListedPeer[],
  show: (peer: ListedPeer) => ListedPeer,
): NextVersion | undefined {
  const sources = findSources(last.records, peers);
  if (sources === undefined) return undefined;
  const changed = new Map<number, Buffer>();
  let bytes = EMPTY_BYTES + Math.max(0, peers.length - 1);
  for (const [index, source] of sources.entries()) {
    if (source === CHANGED) changed.set(index, Buffer.from(peerJson(show(peers[index] as ListedPeer))));
    bytes += changed.get(index)?.byteLength ?? endOf(last, source) - startOf(last, source);
  }
  if (bytes > MAX_LISTING_BYTES) return undefined;
  const records = peers.map((peer, index) => last.records[sources[index] as number] ?? recordOf(peer));
  return {
    ...copyParts(last, sources, changed, bytes),
    records,
    hasSameRecords: isSameSet(last, sources, peers),
  };
}

/** The source of a peer that registered since. */
const CHANGED = -1;

/**
 * The places of peers in the last version. The order of those that did not change is the same, so each is searched only after
 * the one before.
 */
function findSources(records: readonly ListedRecord[], peers: readonly ListedPeer[]): Int32Array | undefined {
  const sources = new Int32Array(peers.length);
  let first = 0;
  let changes = 0;
  for (const [index, { json, seenUnixMicros }] of peers.entries()) {
    let found = first;
    for (; found < records.length; found += 1) {
      const record = records[found] as ListedRecord;
      if (record.seenUnixMicros === seenUnixMicros && record.json === json) break;
    }
    if (found < records.length) {
      sources[index] = found;
      first = found + 1;
      continue;
    }
    sources[index] = CHANGED;
    changes += 1;
    if (changes > MAX_CHANGES || changes > peers.length / 2) return undefined;
  }
  return sources;
}

/** Copies the parts of the last version, neighbors at once, and adds the changed ones. */
function copyParts(
  last: Version,
  sources: Int32Array,
  changed: ReadonlyMap<number, Buffer>,
  bytes: number,
): Pick<Version, 'body' | 'ends'> {
  const body = Buffer.allocUnsafeSlow(bytes);
  const ends = new Uint32Array(sources.length);
  let offset = body.write(START, 'latin1');
  for (let index = 0; index < sources.length;) {
    if (index > 0) offset += body.write(',', offset, 'latin1');
    const source = sources[index] as number;
    if (source === CHANGED) {
      offset += changed.get(index)?.copy(body, offset) ?? 0;
      ends[index] = offset;
      index += 1;
      continue;
    }
    const start = startOf(last, source);
    const shift = offset - start;
    let until = source;
    for (; index < sources.length && sources[index] === until; index += 1, until += 1)
      ends[index] = endOf(last, until) + shift;
    offset += last.body.copy(body, offset, start, endOf(last, until - 1));
  }
  body.write(END, offset, 'latin1');
  return { body, ends };
}

function startOf({ ends }: Version, index: number): number {
  return index === 0 ? START.length : (ends[index - 1] as number) + 1;
}

function endOf({ ends }: Version, index: number): number {
  return ends[index] as number;
}

/** Whether the peers that registered since have the records that are in the last version only. */
function isSameSet({ records }: Version, sources: Int32Array, peers: readonly ListedPeer[]): boolean {
  if (records.length !== peers.length) return false;
  const isKept = new Uint8Array(records.length);
  for (const source of sources) if (source !== CHANGED) isKept[source] = 1;
  const before = records.filter((_, index) => isKept[index] === 0).map(({ json }) => json);
  const after = peers.filter((_, index) => sources[index] === CHANGED).map(({ json }) => json);
  after.sort();
  return before.toSorted().every((json, index) => json === after[index]);
}

function recordOf({ json, seenUnixMicros }: ListedPeer): ListedRecord {
  return { json, seenUnixMicros };
}
