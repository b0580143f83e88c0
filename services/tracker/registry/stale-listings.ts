// Caches the last listings and returns them for a limited time when the registry does not respond, so that a failover
// of its store does not affect devices. Registrations are not cached.
import { type ListQuery, type Page, type Registry, RegistryUnavailableError } from './registry.ts';

export interface StaleOptions {
  /** Maximum age of a stale listing in seconds. 0: no stale listings are returned. */
  readonly staleSeconds: number;
  /** Monotonic clock. */
  readonly nowMs: () => number;
}

/** Maximum peers in all cached listings together. Above this limit the oldest listings are evicted. */
export const MAX_KEPT_PEERS = 50_000;

interface KeptListing {
  readonly page: Page;
  readonly cachedAtMs: number;
}

/** Adds stale listings to a registry. Only whole listings are cached, not pages. */
export function withStaleListings(registry: Registry, { staleSeconds, nowMs }: StaleOptions): Registry {
  const kept = new Map<string | undefined, KeptListing>();
  let keptPeers = 0;

  function drop(userId: string | undefined): void {
    keptPeers -= weight(kept.get(userId)?.page);
    kept.delete(userId);
  }

  function keep(userId: string | undefined, page: Page): void {
    drop(userId);
    kept.set(userId, { page, cachedAtMs: nowMs() });
    keptPeers += weight(page);
    for (const oldest of kept.keys()) {
      if (keptPeers <= MAX_KEPT_PEERS) return;
      drop(oldest);
    }
  }

  return {
    ...registry,
    async list(query: ListQuery) {
      const isWhole = query.limit === undefined;
      try {
        const page = await registry.list(query);
        if (isWhole) keep(query.userId, page);
        return page;
      } catch (error) {
        if (!isWhole || !(error instanceof RegistryUnavailableError)) throw error;
        const last = kept.get(query.userId);
        if (last === undefined) throw error;
        const ageSeconds = (nowMs() - last.cachedAtMs) / 1_000;
        if (ageSeconds > staleSeconds) throw error;
        return { ...last.page, staleForSeconds: ageSeconds };
      }
    },
  };
}

/** The number of peers that a cached listing counts as. An empty listing counts as one, because it uses memory too. */
function weight(page: Page | undefined): number {
  return page === undefined ? 0 : page.peers.length + 1;
}
