// The registry in the memory of one process: two maps with the same records, one of all peers and one by user.
import { refused } from '../../shared/result.ts';
import { createMemoryHolds } from './memory-holds.ts';
import { createMemoryClaims } from './memory-claims.ts';
import { pageById } from './page-by-id.ts';
import type { ListedPeer, ListQuery, Page, Registration, Registry } from './registry.ts';

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
  const counts = { circuitPeers: 0, circuits: 0, singleDeviceUsers: 0 };
  let latestUnixMicros = 0;
  // No record expires before this time, so most calls need not read the oldest record: reading a Map from its start
  // also visits the slots of deleted entries.
  let nextExpiryMs = Number.NEGATIVE_INFINITY;

  function countCircuits({ relays = 0 }: MemoryRecord, sign: 1 | -1): void {
    counts.circuits += sign * relays;
    if (relays > 0) counts.circuitPeers += sign;
  }

  function remove(record: MemoryRecord): void {
    all.delete(record.peerId);
    countCircuits(record, -1);
    if (record.userId === null) return;
    const user = users.get(record.userId);
    user?.delete(record.peerId);
    if (user?.size === 1) counts.singleDeviceUsers += 1;
    if (user?.size !== 0) return;
    counts.singleDeviceUsers -= 1;
    users.delete(record.userId);
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
    all.set(record.peerId, record);
    countCircuits(record, 1);
    if (record.userId === null) return;
    const user = users.get(record.userId);
    if (user === undefined) users.set(record.userId, new Map([[record.peerId, record]]));
    else user.set(record.peerId, record);
    if (user === undefined) counts.singleDeviceUsers += 1;
    else if (user.size === 2) counts.singleDeviceUsers -= 1;
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
      if (old !== undefined) remove(old);
      const seenUnixMicros = Math.floor(nowUnixMs() * 1_000);
      add({ ...registration, seenUnixMicros, expiresMs: nowMs() + ttlMs });
      // Claims are compared by their times, so these never go back.
      latestUnixMicros = Math.max(latestUnixMicros + 1, seenUnixMicros);
      if (owner === undefined) holds.free(registration.peerId);
      else holds.renew(registration.peerId, owner, nowMicros);
      const conflicts = claims.claim(registration, latestUnixMicros);
      return conflicts.length === 0 ? { ok: true } : { ok: true, conflicts };
    },
    async unregister(peerId, owner) {
      removeExpired();
      holds.free(peerId, owner);
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

function page(newestFirst: readonly ListedPeer[], { limit, after }: ListQuery): Page {
  if (limit === undefined) return { peers: newestFirst };
  const { shown, next } = pageById(newestFirst, limit, after);
  return next === undefined ? { peers: shown } : { peers: shown, next };
}
