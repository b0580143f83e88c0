// The registry in the memory of one process: two maps with the same records, one of all peers and one by user.
import { refused } from '../../shared/result.ts';
import { createMemoryHolds } from './memory-holds.ts';
import { createMemoryClaims } from './memory-claims.ts';
import { pageById } from './page-by-id.ts';
import type { ListedPeer, ListQuery, Page, Registration, Registry } from './registry.ts';
import { isHubOf, starOf } from './star.ts';

export interface MemoryRegistryOptions {
  readonly ttlSeconds: number;
  readonly maxPeers: number;
  /** Clock for the times that listings show. It may be set at any time. */
  readonly nowUnixMs: () => number;
  /** Monotonic clock, by which registrations expire. */
  readonly nowMs: () => number;
}

/** Maximum holds of peer ids for each peer that may be registered. Most devices that were ever registered are away. */
export const MAX_HOLDS_PER_PEER = 2;

interface MemoryRecord extends Registration, ListedPeer {
  /** By the monotonic clock. */
  readonly expiresMs: number;
}

/**
 * The maps contain the records in the order of their last registration: the first record expires next, and the reverse
 * order is newest first. Expired records are removed before every call.
 */
export function createMemoryRegistry({
  ttlSeconds,
  maxPeers,
  nowUnixMs,
  nowMs,
}: MemoryRegistryOptions): Registry {
  const ttlMs = ttlSeconds * 1_000;
  const all = new Map<string, MemoryRecord>();
  const users = new Map<string, Map<string, MemoryRecord>>();
  const claims = createMemoryClaims(maxPeers);
  const holds = createMemoryHolds(MAX_HOLDS_PER_PEER * maxPeers);
  const counts = { circuitPeers: 0, circuits: 0, singleDeviceUsers: 0, hubUsers: 0 };
  /** The number of hubs of each user that has one. */
  const hubs = new Map<string, number>();
  let latestUnixMicros = 0;
  // No record expires before this time, so most calls need not read the oldest record: reading a Map from its start
  // also visits the slots of deleted entries.
  let nextExpiryMs = Number.NEGATIVE_INFINITY;

  function countCircuits({ relays = 0 }: MemoryRecord, sign: 1 | -1): void {
    counts.circuits += sign * relays;
    if (relays > 0) counts.circuitPeers += sign;
  }

  /** Whether a user has one device. A hub does not count: it stays when the devices are off. */
  function isSingle(userId: string): boolean {
    return users.get(userId)?.size === 1 && !hubs.has(userId);
  }

  /** Changes the records of a user, and counts the user again. */
  function changeUser(userId: string, change: (records: Map<string, MemoryRecord>) => void): void {
    const wasSingle = isSingle(userId);
    const records = users.get(userId) ?? new Map<string, MemoryRecord>();
    change(records);
    if (records.size === 0) users.delete(userId);
    else users.set(userId, records);
    counts.singleDeviceUsers += Number(isSingle(userId)) - Number(wasSingle);
  }

  function countHub(record: MemoryRecord, userId: string, sign: 1 | -1): void {
    if (!isHubOf(record)) return;
    const count = (hubs.get(userId) ?? 0) + sign;
    if (count === 0) hubs.delete(userId);
    else hubs.set(userId, count);
    counts.hubUsers = hubs.size;
  }

  function remove(record: MemoryRecord): void {
    const { peerId, userId } = record;
    all.delete(peerId);
    countCircuits(record, -1);
    if (userId === null) return;
    changeUser(userId, (records) => {
      records.delete(peerId);
      countHub(record, userId, -1);
    });
  }

  function removeExpired(): void {
    const currentMs = nowMs();
    if (currentMs < nextExpiryMs) return;
    for (const record of all.values()) {
      nextExpiryMs = record.expiresMs;
      if (currentMs < nextExpiryMs) return;
      remove(record);
    }
  }

  function add(record: MemoryRecord): void {
    const { peerId, userId } = record;
    all.set(peerId, record);
    countCircuits(record, 1);
    if (userId === null) return;
    changeUser(userId, (records) => {
      records.set(peerId, record);
      countHub(record, userId, 1);
    });
  }

  return {
    name: 'memory registry',
    start: async () => {},
    stop: async () => {},
    async register(registration, owner) {
      removeExpired();
      const old = all.get(registration.peerId);
      const nowMicros = nowMs() * 1_000;
      if (owner !== undefined && holds.isHeldFromOthers(registration.peerId, owner, nowMicros))
        return refused('held');
      if (old === undefined && all.size >= maxPeers) return refused('full');
      if (old !== undefined && owner !== undefined && old.userId !== owner) return refused('foreign');
      if (old !== undefined && isHubOf(old) && registration.isHub !== true) return refused('hub');
      if (old !== undefined) remove(old);
      const seenUnixMicros = Math.floor(nowUnixMs() * 1_000);
      add({ ...registration, isHub: isHubOf(registration), seenUnixMicros, expiresMs: nowMs() + ttlMs });
      // Claims are compared by their times, so these never go back.
      latestUnixMicros = Math.max(latestUnixMicros + 1, seenUnixMicros);
      if (owner === undefined) holds.free(registration.peerId);
      else holds.renew(registration.peerId, owner, nowMicros);
      const conflicts = claims.claim(registration, latestUnixMicros);
      return conflicts.length === 0 ? { ok: true } : { ok: true, conflicts };
    },
    async unregister(peerId, owner, isHub = false) {
      removeExpired();
      const old = all.get(peerId);
      if (old !== undefined && isHubOf(old) && !isHub) return false;
      holds.free(peerId, owner);
      if (old === undefined || (owner !== undefined && old.userId !== owner)) return false;
      remove(old);
      return true;
    },
    async list(query) {
      removeExpired();
      const scope = query.userId === undefined ? all : users.get(query.userId);
      return page([...(scope?.values() ?? [])].toReversed(), query);
    },
    conflicts: async () => claims.conflicts(nowUnixMs() * 1_000),
    live() {
      removeExpired();
      return all.size;
    },
    counts() {
      removeExpired();
      return { ...counts };
    },
    problem: () => undefined,
  };
}

function page(newestFirst: readonly MemoryRecord[], { star, limit, after }: ListQuery): Page {
  const listing = star === undefined ? { peers: newestFirst } : starOf(newestFirst, star);
  if (limit === undefined) return listing;
  const { shown, next } = pageById(listing.peers, limit, after);
  return { ...listing, peers: shown, ...(next !== undefined && { next }) };
}
