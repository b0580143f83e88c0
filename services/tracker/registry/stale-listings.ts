// Caches the last listings and returns them for a limited time when the registry does not respond, so that a failover
// of its store does not affect devices. Registrations are not cached.
import {
  type ListedPeer,
  type ListQuery,
  type Page,
  type Registry,
  RegistryUnavailableError,
} from './registry.ts';

export interface StaleOptions {
  /** Maximum age of a stale listing in seconds. 0: no stale listings are returned. */
  readonly staleSeconds: number;
  /** Monotonic clock. */
  readonly nowMs: () => number;
}

/** Maximum bytes of all cached listings together. Above this limit the oldest listings are evicted. */
export const MAX_KEPT_BYTES = 24 * 1024 * 1024;

/** Bytes of a cached listing or record in addition to the characters of its JSON, which are counted as one byte. */
const OVERHEAD_BYTES = 256;

interface KeptListing {
  readonly page: Page;
  readonly bytes: number;
  readonly cachedAtMs: number;
}

/** Adds stale listings to a registry. Only whole listings are cached, not pages. */
export function withStaleListings(registry: Registry, { staleSeconds, nowMs }: StaleOptions): Registry {
  const kept = new Map<string, KeptListing>();
  let keptBytes = 0;

  function drop(key: string): void {
    keptBytes -= kept.get(key)?.bytes ?? 0;
    kept.delete(key);
  }

  function keep(key: string, page: Page): void {
    const last = kept.get(key);
    // The registry returns the same page while nothing changes.
    if (last?.page === page) {
      kept.delete(key);
      kept.set(key, { ...last, cachedAtMs: nowMs() });
      return;
    }
    drop(key);
    const bytes = sizeOf(page) + key.length;
    kept.set(key, { page, bytes, cachedAtMs: nowMs() });
    keptBytes += bytes;
    for (const oldest of kept.keys()) {
      if (keptBytes <= MAX_KEPT_BYTES) return;
      drop(oldest);
    }
  }

  /** Keeps the own record of a device apart, because all devices of a user share the rest. */
  function keepListing(query: ListQuery, page: Page): void {
    const { peers, own } = page;
    if (own === undefined) return keep(keyOf(query), page);
    keep(keyOf(query), { peers: peers.filter(({ peerId }) => peerId !== own) });
    const record = peers.find(({ peerId }) => peerId === own);
    if (record !== undefined) keep(ownKeyOf(query), { peers: [record] });
  }

  function recall(key: string): Required<Pick<Page, 'peers' | 'staleForSeconds'>> | undefined {
    const last = kept.get(key);
    if (last === undefined) return undefined;
    const staleForSeconds = (nowMs() - last.cachedAtMs) / 1_000;
    return staleForSeconds > staleSeconds ? undefined : { peers: last.page.peers, staleForSeconds };
  }

  function recallOwn(query: ListQuery, listed: readonly ListedPeer[]): ListedPeer | undefined {
    const ownPeerId = query.star?.ownPeerId;
    if (ownPeerId === undefined || listed.some(({ peerId }) => peerId === ownPeerId)) return undefined;
    return recall(ownKeyOf(query))?.peers[0];
  }

  return {
    ...registry,
    async list(query: ListQuery) {
      const isWhole = query.limit === undefined;
      try {
        const page = await registry.list(query);
        if (isWhole) keepListing(query, page);
        return page;
      } catch (error) {
        if (!isWhole || !(error instanceof RegistryUnavailableError)) throw error;
        const last = recall(keyOf(query));
        if (last === undefined) throw error;
        const own = recallOwn(query, last.peers);
        return own === undefined ? last : { ...last, peers: [...last.peers, own], own: own.peerId };
      }
    },
  };
}

function keyOf({ userId, star }: ListQuery): string {
  return JSON.stringify([userId ?? null, star !== undefined]);
}

function ownKeyOf({ userId, star }: ListQuery): string {
  return JSON.stringify([userId ?? null, star?.ownPeerId]);
}

/** The bytes that a cached listing may use. An empty one uses memory too. */
function sizeOf(page: Page): number {
  return page.peers.reduce((sum, { json }) => sum + OVERHEAD_BYTES + json.length, OVERHEAD_BYTES);
}
