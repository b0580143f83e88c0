// Keeps the last listings, and shows them for a while when the registry does not answer, so that devices do not
// notice a failover of its store. Registrations are never touched: those are made, or refused.
import { type ListQuery, type Page, type Registry, RegistryUnavailableError } from './registry.ts';

export interface StaleOptions {
  /** How old a listing may be that is still shown, in seconds. */
  readonly staleSeconds: number;
  /** Milliseconds on any clock that does not jump. */
  readonly now: () => number;
}

/** Peers in all kept listings together; the listings asked for longest ago go first. About 50 MB at most in practice. */
const MAX_KEPT_PEERS = 50_000;

interface Kept {
  readonly page: Page;
  readonly at: number;
}

/** The same registry, whose whole listings outlive its store; pages are not kept. */
export function withStaleListings(registry: Registry, { staleSeconds, now }: StaleOptions): Registry {
  const kept = new Map<string | undefined, Kept>();
  let keptPeers = 0;

  function forget(userId: string | undefined): void {
    keptPeers -= weight(kept.get(userId)?.page);
    kept.delete(userId);
  }

  function keep(userId: string | undefined, page: Page): void {
    forget(userId);
    kept.set(userId, { page, at: now() });
    keptPeers += weight(page);
    for (const oldest of kept.keys()) {
      if (keptPeers <= MAX_KEPT_PEERS) return;
      forget(oldest);
    }
  }

  return {
    name: registry.name,
    start: () => registry.start(),
    stop: () => registry.stop(),
    register: (registration, owner) => registry.register(registration, owner),
    unregister: (peerId, owner) => registry.unregister(peerId, owner),
    live: () => registry.live(),
    problem: () => registry.problem(),
    async list(query: ListQuery) {
      const isWhole = query.limit === undefined;
      try {
        const page = await registry.list(query);
        if (isWhole) keep(query.userId, page);
        return page;
      } catch (error) {
        const last =
          isWhole && error instanceof RegistryUnavailableError ? kept.get(query.userId) : undefined;
        if (last === undefined) throw error;
        const age = (now() - last.at) / 1_000;
        if (age > staleSeconds) throw error;
        return { ...last.page, staleForSeconds: age };
      }
    },
  };
}

/** What a kept listing counts for; an empty one takes room too. */
function weight(page: Page | undefined): number {
  return page === undefined ? 0 : page.peers.length + 1;
}
