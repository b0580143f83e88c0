// The embedded registry: one process, no store. It owns two maps that hold the same records.
import type { ListedPeer, ListQuery, Page, Registration, Registry } from './registry.ts';

export interface MemoryRegistryOptions {
  readonly ttlSeconds: number;
  readonly maxPeers: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

type MemoryRecord = Registration & ListedPeer;

/**
 * Records live in maps in the order of their last registration, so the head is the first to expire and reading
 * backwards is newest first. Expired records are removed before every call: each is removed once.
 */
export function createMemoryRegistry({ ttlSeconds, maxPeers, now }: MemoryRegistryOptions): Registry {
  const ttl = ttlSeconds * 1_000_000;
  const all = new Map<string, MemoryRecord>();
  const users = new Map<string, Map<string, MemoryRecord>>();
  let latest = 0;
  // No record expires before this moment, so that most calls need not look for the oldest: a Map that lost its first
  // entries passes over their places each time it is read from the start.
  let noneBefore = 0;

  function remove(record: MemoryRecord): void {
    all.delete(record.peerId);
    if (record.userId === null) return;
    const user = users.get(record.userId);
    user?.delete(record.peerId);
    if (user?.size === 0) users.delete(record.userId);
  }

  function removeExpired(): void {
    const moment = now() * 1_000;
    if (moment < noneBefore) return;
    for (const record of all.values()) {
      noneBefore = record.seen + ttl;
      if (moment < noneBefore) return;
      remove(record);
    }
  }

  function add(record: MemoryRecord): void {
    all.set(record.peerId, record);
    if (record.userId === null) return;
    const user = users.get(record.userId);
    if (user === undefined) users.set(record.userId, new Map([[record.peerId, record]]));
    else user.set(record.peerId, record);
  }

  return {
    name: 'memory registry',
    start: async () => {},
    stop: async () => {},
    async register(registration, owner) {
      removeExpired();
      const old = all.get(registration.peerId);
      if (old === undefined && all.size >= maxPeers) return 'full';
      if (old !== undefined && owner !== undefined && old.userId !== owner) return 'foreign';
      if (old !== undefined) remove(old);
      // No two records share a moment, so that a place in a listing is one record; also when the clock steps back.
      latest = Math.max(latest + 1, Math.floor(now() * 1_000));
      add({ ...registration, seen: latest });
      return 'registered';
    },
    async unregister(peerId, owner) {
      removeExpired();
      const old = all.get(peerId);
      if (old === undefined || (owner !== undefined && old.userId !== owner)) return false;
      remove(old);
      return true;
    },
    async list(query) {
      removeExpired();
      const scope = query.userId === undefined ? all : users.get(query.userId);
      return page([...(scope?.values() ?? [])].toReversed(), query);
    },
    live() {
      removeExpired();
      return all.size;
    },
    problem: () => undefined,
  };
}

function page(newestFirst: readonly ListedPeer[], { limit = Infinity, after }: ListQuery): Page {
  const start = after === undefined ? 0 : firstOlder(newestFirst, after.seen);
  const peers = newestFirst.slice(start, start + limit);
  const last = peers.at(-1);
  return start + limit < newestFirst.length && last !== undefined ? { peers, next: last } : { peers };
}

/** Index of the first peer seen before the moment, by bisection. */
function firstOlder(newestFirst: readonly ListedPeer[], seen: number): number {
  let low = 0;
  let high = newestFirst.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((newestFirst[middle]?.seen ?? 0) < seen) high = middle;
    else low = middle + 1;
  }
  return low;
}
