// The registry in the memory of one process: its records are in one list of all peers and in the list of their user, each
// in the order of their last registration.
import type { LinkedList } from '../../shared/linked-list.ts';
import { refused } from '../../shared/result.ts';
import { CLAIM_SECONDS, type Conflict } from './claims.ts';
import { createMemoryHolds } from './memory-holds.ts';
import { createMemoryClaims } from './memory-claims.ts';
import { MemoryRecord, Scope, smallInteger } from './memory-records.ts';
import { pageById } from './page-by-id.ts';
import type { ListQuery, Page, Registration, Registry } from './registry.ts';
import { starOf } from './star.ts';

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

/**
 * Seconds after which the claims of a device that repeats its registration are stored again. Storing them each time would
 * cost more than the rest of the registration. It is less than the time after which a claim is forgotten.
 */
const CLAIM_RENEWAL_SECONDS = CLAIM_SECONDS / 2;

/**
 * The first record of all is the one that expires next. Expired records are removed before every call.
 */
export function createMemoryRegistry({
  ttlSeconds,
  maxPeers,
  nowUnixMs,
  nowMs,
}: MemoryRegistryOptions): Registry {
  const ttlMs = ttlSeconds * 1_000;
  const records = new Map<string, MemoryRecord>();
  const all = new Scope(undefined);
  const users = new Map<string, Scope>();
  const claims = createMemoryClaims(maxPeers);
  const holds = createMemoryHolds(MAX_HOLDS_PER_PEER * maxPeers);
  const counts = { circuitPeers: 0, circuits: 0, singleDeviceUsers: 0, hubUsers: 0 };
  let latestUnixMicros = 0;
  const startMs = nowMs();

  /** Milliseconds since the registry was created: so few that V8 keeps them in a field, for 24 days. */
  const currentMs = (): number => nowMs() - startMs;

  function countCircuits({ relays }: MemoryRecord, sign: 1 | -1): void {
    counts.circuits += sign * relays;
    if (relays > 0) counts.circuitPeers += sign;
  }

  /** Changes the records of a user, and counts the user again. */
  function changeScope(scope: Scope, change: (records: LinkedList<MemoryRecord>) => void): void {
    const wasSingle = scope.isSingle();
    change(scope.records);
    scope.page = undefined;
    scope.content = {};
    counts.singleDeviceUsers += Number(scope.isSingle()) - Number(wasSingle);
  }

  function countHub({ isHub }: MemoryRecord, scope: Scope, sign: 1 | -1): void {
    if (!isHub) return;
    scope.hubs += sign;
    all.hubs += sign;
    if (scope.hubs === (sign === 1 ? 1 : 0)) counts.hubUsers += sign;
  }

  function remove(record: MemoryRecord): void {
    const { peerId, scope } = record;
    // Claims that were only repeated are stored with the time of the last repetition.
    if (record.unstoredMicros > 0) claims.claim(record, record.claimedMicros);
    records.delete(peerId);
    all.records.remove(record);
    all.page = undefined;
    all.content = {};
    countCircuits(record, -1);
    if (scope === undefined) return;
    changeScope(scope, (ofUser) => {
      ofUser.remove(record);
      countHub(record, scope, -1);
    });
    if (scope.records.size === 0 && scope.userId !== undefined) users.delete(scope.userId);
  }

  function removeExpired(): void {
    const ms = currentMs();
    for (let first = all.records.first; first !== undefined && ms >= first.expiresMs;) {
      remove(first);
      first = all.records.first;
    }
  }

  function scopeOf(userId: string | null): Scope | undefined {
    if (userId === null) return undefined;
    let scope = users.get(userId);
    if (scope === undefined) {
      scope = new Scope(userId);
      users.set(userId, scope);
    }
    return scope;
  }

  function add(registration: Registration): MemoryRecord {
    const scope = scopeOf(registration.userId);
    const record = new MemoryRecord(registration, scope);
    records.set(record.peerId, record);
    all.records.append(record);
    all.page = undefined;
    all.content = {};
    countCircuits(record, 1);
    if (scope !== undefined)
      changeScope(scope, (ofUser) => {
        ofUser.append(record);
        countHub(record, scope, 1);
      });
    return record;
  }

  /** Moves a record that registers again to the end of its lists. */
  function renew(record: MemoryRecord): void {
    all.records.moveToEnd(record);
    all.page = undefined;
    if (record.scope === undefined) return;
    record.scope.records.moveToEnd(record);
    record.scope.page = undefined;
  }

  /** Notes when a record was seen. Stores its claims, unless they were stored lately and nobody else claims the same. */
  function see(record: MemoryRecord, isRepeated: boolean, nowUnixMicros: number): Conflict[] {
    // Claims are compared by their times, so these never go back.
    latestUnixMicros = Math.max(latestUnixMicros + 1, nowUnixMicros);
    const unstoredMicros = isRepeated ? latestUnixMicros - record.claimedMicros + record.unstoredMicros : 0;
    record.seenUnixMicros = nowUnixMicros;
    record.claimLagMicros = smallInteger(latestUnixMicros - nowUnixMicros);
    const isFresh = unstoredMicros < CLAIM_RENEWAL_SECONDS * 1_000_000;
    const isStoredLater = isRepeated && isFresh && !claims.isContested(record.peerId);
    record.unstoredMicros = isStoredLater ? smallInteger(unstoredMicros) : 0;
    return isStoredLater ? [] : claims.claim(record, latestUnixMicros);
  }

  return {
    name: 'memory registry',
    start: async () => {},
    stop: async () => {},
    register(registration, owner) {
      removeExpired();
      const old = records.get(registration.peerId);
      const nowMicros = nowMs() * 1_000;
      if (owner !== undefined && holds.isHeldFromOthers(registration.peerId, owner, nowMicros))
        return refused('held');
      if (old === undefined && records.size >= maxPeers) return refused('full');
      if (old !== undefined && owner !== undefined && old.userId !== owner) return refused('foreign');
      if (old !== undefined && old.isHub && registration.isHub !== true) return refused('hub');
      const isRepeated = old !== undefined && isSame(old, registration);
      if (isRepeated) renew(old);
      else if (old !== undefined) remove(old);
      const record = isRepeated ? old : add(registration);
      record.expiresMs = Math.ceil(currentMs() + ttlMs);
      if (owner === undefined) holds.free(registration.peerId);
      else holds.renew(registration.peerId, owner, nowMicros);
      const conflicts = see(record, isRepeated, Math.floor(nowUnixMs() * 1_000));
      return conflicts.length === 0 ? ACCEPTED : { ok: true, conflicts };
    },
    async unregister(peerId, owner, isHub = false) {
      removeExpired();
      const old = records.get(peerId);
      if (old !== undefined && old.isHub && !isHub) return false;
      holds.free(peerId, owner);
      if (old === undefined || (owner !== undefined && old.userId !== owner)) return false;
      remove(old);
      return true;
    },
    list(query) {
      removeExpired();
      const scope = query.userId === undefined ? all : users.get(query.userId);
      return scope === undefined || scope.records.size === 0 ? EMPTY : pageOf(scope, query);
    },
    recall(peerId) {
      const record = records.get(peerId);
      return record === undefined || record.isOfHubToken || currentMs() >= record.expiresMs
        ? undefined
        : record;
    },
    conflicts: async () => claims.conflicts(nowUnixMs() * 1_000),
    live() {
      removeExpired();
      return records.size;
    },
    counts() {
      removeExpired();
      return { ...counts };
    },
    problem: () => undefined,
  };
}

const ACCEPTED = { ok: true } as const;

const EMPTY: Page = { peers: [] };

/** Whether a registration has the content of a record. */
function isSame(old: MemoryRecord, registration: Registration): boolean {
  if (old === registration) return true;
  return (
    old.isOfHubToken === (registration.isHub === true) &&
    old.json === registration.json &&
    old.userId === registration.userId &&
    old.deviceId === registration.deviceId &&
    old.hostname === registration.hostname &&
    old.relays === (registration.relays ?? 0)
  );
}

/** A page. A whole listing is the same object until one of its records changes. */
function pageOf(scope: Scope, { star, limit, after }: ListQuery): Page {
  const isPlain = star === undefined || scope.hubs === 0;
  if (limit === undefined && isPlain)
    return (scope.page ??= { peers: scope.newestFirst(), content: scope.content });
  const newestFirst = scope.newestFirst();
  const listing = isPlain ? { peers: newestFirst } : starOf(newestFirst, star);
  if (limit === undefined) return listing;
  const { shown, next } = pageById(listing.peers, limit, after);
  return { ...listing, peers: shown, ...(next !== undefined && { next }) };
}
