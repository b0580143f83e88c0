// Caches the last listings and returns them for a limited time when the registry does not respond, so that a failover
// of its store does not affect devices. Registrations are not cached.
import { type ListQuery, type Page, type Registry, RegistryUnavailableError } from './registry.ts';

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
  const kept = new Map<string | undefined, KeptListing>();
  let keptBytes = 0;

  function drop(userId: string | undefined): void {
    keptBytes -= kept.get(userId)?.bytes ?? 0;
    kept.delete(userId);
  }

  function keep(userId: string | undefined, page: Page): void {
    drop(userId);
    const bytes = sizeOf(page) + (userId?.length ?? 0);
    kept.set(userId, { page, bytes, cachedAtMs: nowMs() });
    keptBytes += bytes;
    for (const oldest of kept.keys()) {
      if (keptBytes <= MAX_KEPT_BYTES) return;
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

/** The bytes that a cached listing may use. An empty one uses memory too. */
function sizeOf(page: Page): number {
  return page.peers.reduce((sum, { json }) => sum + OVERHEAD_BYTES + json.length, OVERHEAD_BYTES);
}
