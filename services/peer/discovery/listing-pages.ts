// Reads all pages of a tracker's list, with limits on their number, size and time. A list that exceeds one of them is
// continued at the next call, so that every record of it is read in turn.
import { MAX_ADDRS } from '../../shared/contract.ts';
import { describeError } from '../../shared/errors.ts';
import { readListedPeer, readRevokedIds } from './listed-peer.ts';
import type { ListingBody } from './listing-reader.ts';
import type { KnownPeer } from './peer-book.ts';

/** Maximum peers on a page. Our tracker ends a page at 512 KiB as well. */
export const PAGE_PEERS = 1_000;

/** Maximum pages of one call. */
const MAX_PAGES = 256;

/** Maximum bytes of all pages of one call. A listing of 10,000 devices with many addresses has about 30 MB. */
const MAX_LIST_BYTES = 64 * 1024 * 1024;

/** Maximum peers of one call, which are kept in memory for a round. */
const MAX_LISTED_PEERS = 20_000;

/** Time after which no further page is requested, in milliseconds, so that a slow tracker delays no round for long. */
const LIST_MS = 15_000;

/** Requests one page. `cursor` is absent for the first page, and `isWhole` asks for a list without pages. */
export type RequestPage = (
  query: { readonly cursor?: string | undefined; readonly isWhole?: boolean },
  maxBytes: number,
) => Promise<ListingBody & { readonly sentUnixSeconds: number | undefined }>;

export interface ReadPages {
  readonly peers: readonly KnownPeer[];
  readonly revoked: readonly string[];
  readonly skipped: number;
  readonly sentUnixSeconds: number | undefined;
  /** Why the list is not complete, as the end of a sentence; `undefined` when it is complete. */
  readonly incomplete: string | undefined;
  /** The cursor at which the next call continues; `undefined` when it starts with the first page. */
  readonly resumeAt: string | undefined;
}

/** @param canRetry whether the same request without pages may succeed after this error */
export async function readPages(
  requestPage: RequestPage,
  canRetry: (error: unknown) => boolean,
  resumeAt: string | undefined,
  nowMs: () => number,
): Promise<ReadPages> {
  const startedMs = nowMs();
  const peers = new Map<string, KnownPeer>();
  const revoked = new Set<string>();
  let [skipped, bytes, sentUnixSeconds] = [0, 0, undefined as number | undefined];
  let cursor = resumeAt;
  const finish = (incomplete?: string, resume?: string): ReadPages => ({
    peers: [...peers.values()],
    revoked: [...revoked],
    skipped,
    sentUnixSeconds,
    incomplete,
    resumeAt: resume,
  });
  for (let pages = 1; ; pages += 1) {
    let page: Awaited<ReturnType<RequestPage>>;
    try {
      page =
        pages === 1
          ? await requestFirst(requestPage, canRetry, cursor, MAX_LIST_BYTES)
          : await requestPage({ cursor }, MAX_LIST_BYTES - bytes);
    } catch (error) {
      if (pages === 1) throw error;
      return finish(`a page failed: ${describeError(error).replace(/\.$/, '')}`, cursor);
    }
    sentUnixSeconds ??= page.sentUnixSeconds;
    bytes += page.bytes;
    skipped += page.unreadable;
    for (const record of page.lists.peers ?? []) {
      const peer = readListedPeer(record);
      if (peer === undefined) skipped += 1;
      else if (peers.size < MAX_LISTED_PEERS || peers.has(peer.peerId)) keepNewer(peers, peer);
    }
    for (const id of readRevokedIds(page.lists.revocations ?? [])) revoked.add(id);
    const { nextCursor } = page;
    if (page.cut !== undefined) return finish(page.cut, nextCursor);
    if (nextCursor === undefined || nextCursor === cursor) break;
    if (pages >= MAX_PAGES) return finish(`it has more than ${MAX_PAGES} pages`, nextCursor);
    if (bytes >= MAX_LIST_BYTES) return finish(`it has more than ${MAX_LIST_BYTES} bytes`, nextCursor);
    if (peers.size >= MAX_LISTED_PEERS)
      return finish(`it has more than ${MAX_LISTED_PEERS} devices`, nextCursor);
    if (nowMs() - startedMs > LIST_MS) return finish(`it takes longer than ${LIST_MS} ms`, nextCursor);
    cursor = nextCursor;
  }
  return finish(resumeAt === undefined ? undefined : 'its first pages were read before');
}

/**
 * Requests the page at which the call starts. A tracker that refuses pages, or cannot read them now, may have a list
 * without pages: another implementation, or ours while its Redis is down.
 */
async function requestFirst(
  requestPage: RequestPage,
  canRetry: (error: unknown) => boolean,
  cursor: string | undefined,
  maxBytes: number,
): ReturnType<RequestPage> {
  try {
    return await requestPage({ cursor }, maxBytes);
  } catch (error) {
    if (!canRetry(error)) throw error;
    return requestPage({ isWhole: true }, maxBytes);
  }
}

/** Of two records of one peer in one list the newer one is kept, with the addresses of both. */
function keepNewer(peers: Map<string, KnownPeer>, peer: KnownPeer): void {
  const other = peers.get(peer.peerId);
  if (other === undefined) {
    peers.set(peer.peerId, peer);
    return;
  }
  const [newer, older] = peer.lastSeenUnixSeconds > other.lastSeenUnixSeconds ? [peer, other] : [other, peer];
  const addresses = [...new Set([...newer.addresses, ...older.addresses])];
  peers.set(peer.peerId, { ...newer, addresses: addresses.slice(0, MAX_ADDRS) });
}
