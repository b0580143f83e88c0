// The registry that several replicas share. It owns the layout of keys in Redis, documented in
// docs/decisions/tracker-registry-in-redis.md:
//   rustory:peer:<id>    string with a time to live: the record, the only authoritative copy
//   rustory:user:<uid>   sorted set of peer ids by registration time: an index, repaired when it is read
//   rustory:all          the same over all peers; the maximum number of peers is enforced on it
// and the keys of redis-claims.ts, which find identities that two devices use, and of redis-holds.ts, which keep the peer
// ids of users whose devices are away, of redis-hubs.ts, and of redis-counts.ts, which count for the metrics.
// No command and no script touches keys of different slots, so a Cluster serves it too.
import { monotonicMs } from '../../shared/clock.ts';
import { createLimitedLog } from '../../shared/limited-log.ts';
import type { Logger } from '../../shared/log.ts';
import { refused } from '../../shared/result.ts';
import { type CallQueueLimits, createCallQueue } from './call-queue.ts';
import { claimsOf, conflictsOf } from './claims.ts';
import {
  decodeClaims,
  decodeConflicts,
  readConflicts,
  reportConflict,
  sendClaims,
  withdrawClaims,
} from './redis-claims.ts';
import { countHold, DUE, freeHold, HELD, readHold, writeHold } from './redis-holds.ts';
import { ALL_KEY, peerKey, userKey } from './redis-keys.ts';
import { countRegistration, countUser, forgetRegistration } from './redis-counts.ts';
import { enrollHub, forgetHub } from './redis-hubs.ts';
import { createRedisLink } from './redis-link.ts';
import { list } from './redis-listing.ts';
import type { RedisProblem } from './redis-problems.ts';
import { createProbe } from './redis-probe.ts';
import { decodeRecord, encodeOwner, encodeRecord } from './redis-records.ts';
import { KEPT_HUB, REPLACE_REFUSALS } from './redis-scripts.ts';
import {
  createReportError,
  createRoundTrip,
  inBackground,
  type ReportError,
  type Store,
} from './redis-store.ts';
import type { RedisAddress } from './redis-url.ts';
import {
  type RegisterResult,
  type Registration,
  type Registry,
  RegistryOverloadedError,
  RegistryUnavailableError,
} from './registry.ts';
import { isHubOf } from './star.ts';

export interface RedisRegistryOptions {
  readonly ttlSeconds: number;
  readonly maxPeers: number;
  readonly log: Logger;
  /** Receives the duration of each probe of Redis in seconds; when it failed, `undefined` and the reason. */
  readonly onProbe?: ((seconds: number | undefined, reason?: RedisProblem) => void) | undefined;
  /** Receives the reason of each error of a command. */
  readonly onError?: ((reason: RedisProblem) => void) | undefined;
  /** Default: `CALL_LIMITS`. */
  readonly callLimits?: CallQueueLimits;
}

/**
 * Limits on the calls of one process. 1,024 registrations keep Redis busy for about 20 ms; more would only wait there.
 */
export const CALL_LIMITS: CallQueueLimits = {
  running: 1_024,
  waiting: 20_000,
  waitingBytes: 16 * 1024 * 1024,
  waitMs: 5_000,
};

/**
 * Maximum index entries of a listing without a limit. The peers of a user are limited only by the maximum of all peers.
 */
const UNLIMITED = Number.MAX_SAFE_INTEGER;

/** Lines per minute in the log about failed commands, for each reason. */
const LINES_PER_MINUTE = 2;

/** @param readAddress is called for each connection, because the login may have changed */
export function createRedisRegistry(
  readAddress: RedisAddress | (() => RedisAddress),
  options: RedisRegistryOptions,
): Registry {
  const { ttlSeconds, maxPeers, log, onProbe, onError } = options;
  const link = createRedisLink(typeof readAddress === 'function' ? readAddress : () => readAddress);
  const reportError = createReportError(createLimitedLog({ log, perMinute: LINES_PER_MINUTE }), onError);
  const report: ReportError = (error, failure) => {
    link.noticeMoved(error);
    reportError(error, failure);
  };
  const roundTrip = createRoundTrip(report, () => (link.client() === undefined ? link.failure() : undefined));
  const probe = createProbe({ link, ttlMicros: ttlSeconds * 1_000_000, log, onProbe });
  const queue = createCallQueue(options.callLimits ?? CALL_LIMITS, monotonicMs);

  /** The store of a call. @throws RegistryUnavailableError immediately when the last probe failed */
  function openStore(kind: 'read' | 'write'): Store {
    const refusal = probe.refusal(kind);
    if (refusal !== undefined) throw new RegistryUnavailableError(refusal);
    const client = link.client();
    if (client === undefined)
      throw new RegistryUnavailableError('There is no connection to Redis.', { cause: link.failure() });
    return { client, ttlSeconds, maxPeers, roundTrip, report };
  }

  /** Queues a call and runs it. */
  async function call<T>(
    kind: 'read' | 'write',
    bytes: number,
    work: (store: Store) => Promise<T>,
  ): Promise<T> {
    openStore(kind);
    return queue.run(bytes, async () => {
      // The client may have been replaced while the call waited.
      const store = openStore(kind);
      try {
        return await work(store);
      } catch (error) {
        if (error instanceof RegistryUnavailableError || error instanceof RegistryOverloadedError)
          throw error;
        // The client throws when no node of the Cluster has the slot of a key.
        report(error, 'redis command failed');
        throw new RegistryUnavailableError('Redis did not execute a command.', { cause: error });
      }
    });
  }

  return {
    name: 'redis registry',
    /** Resolves after the first probe, even if the probe failed: the registry recovers when Redis responds. */
    async start() {
      await link.start();
      await probe.start();
    },
    async stop() {
      await Promise.all([probe.stop(), link.stop()]);
    },
    register: (registration, owner) =>
      call('write', registration.json.length, (store) => register(store, registration, owner)),
    unregister: (peerId, owner, isHub) =>
      call('write', peerId.length, (store) => unregister(store, peerId, owner, isHub)),
    list: (query) => call('read', 0, (store) => list(store, query)),
    conflicts: () =>
      call('read', 0, async (store) =>
        decodeConflicts((await store.roundTrip([readConflicts(store.client)]))[0]),
      ),
    live: () => probe.live(),
    counts: () => probe.counts(),
    problem: () => probe.problem(),
  };
}

async function register(
  store: Store,
  registration: Registration,
  owner: string | undefined,
): Promise<RegisterResult> {
  const { client, ttlSeconds, maxPeers, roundTrip } = store;
  const ttlMicros = ttlSeconds * 1_000_000;
  const { peerId, userId, json } = registration;
  const [hold] = owner === undefined ? [] : await roundTrip([readHold(client, peerId, owner)]);
  if (hold === HELD) return refused('held');
  const hubUserId = isHubOf(registration) ? userId : null;
  const record = encodeRecord(userId, json, hubUserId !== null);
  const ttlMs = ttlSeconds * 1_000;
  const sets = claimsOf(registration, maxPeers);
  const ignored = (error: unknown): string[] => {
    store.report(error, 'claim not stored');
    return [];
  };
  // It is sent together with the other commands, because writing to the socket costs more than the command.
  if (owner === undefined) inBackground(store, 'hold not freed', [freeHold(client, peerId)]);
  const [reply, enrolled, , , ...claimed] = await roundTrip([
    client.replace(
      peerKey(peerId),
      record,
      ttlMs,
      owner === undefined ? '' : encodeOwner(owner),
      Number(registration.isHub === true),
    ),
    client.enroll(ALL_KEY, peerId, ttlMicros, maxPeers),
    userId === null ? 1 : client.enroll(userKey(userId), peerId, ttlMicros, UNLIMITED),
    hubUserId === null ? 1 : enrollHub(store, hubUserId, peerId),
    ...sets.map((set) => sendClaims(client, set).catch(ignored)),
  ]);
  if (typeof reply === 'object') await leaveUser(store, registration, reply);
  const isWritten = reply !== REPLACE_REFUSALS.foreign && reply !== REPLACE_REFUSALS.hub;
  const isHeld = isWritten && enrolled === 1 && hold === DUE && !(await renewHold(store, peerId, owner));
  if (isWritten && enrolled === 1 && !isHeld) {
    countRegistration(store, registration);
    const conflicts = sets.flatMap((set, index) =>
      conflictsOf(set, decodeClaims(claimed[index] ?? []), userId),
    );
    inBackground(
      store,
      'conflict not reported',
      conflicts.map((conflict) => reportConflict(client, conflict)),
    );
    return conflicts.length === 0 ? { ok: true } : { ok: true, conflicts };
  }
  inBackground(
    store,
    'claims not withdrawn',
    sets.map((set) => withdrawClaims(client, set)),
  );
  if (hubUserId !== null) await roundTrip([forgetHub(store, hubUserId, peerId)]);
  if (!isWritten) return refused(reply === REPLACE_REFUSALS.hub ? 'hub' : 'foreign');
  // The order does not matter, so one round trip is used. The record of a refused peer is withdrawn afterwards.
  await roundTrip([
    client.withdraw(peerKey(peerId), record),
    userId === null ? 0 : client.zrem(userKey(userId), peerId),
    isHeld ? client.zrem(ALL_KEY, peerId) : 0,
  ]);
  return refused(isHeld ? 'held' : 'full');
}

/**
 * Removes what the registration of the previous user left, so that a peer that changes its user all the time leaves
 * nothing behind. An error is only reported, because everything expires.
 */
async function leaveUser(
  store: Store,
  registration: Registration,
  [old, micros]: [string, string],
): Promise<void> {
  const { client, maxPeers, report } = store;
  const { userId, json, isHub } = decodeRecord(old);
  if (userId === null) return;
  const { meta } = JSON.parse(json) as { meta: { device_id?: unknown } | null };
  const deviceId = typeof meta?.device_id === 'string' ? meta.device_id : null;
  const before = { ...registration, userId, deviceId, hostname: null };
  const sets = claimsOf(before, maxPeers).filter(({ claims }) =>
    claims.some(({ kind }) => kind === 'peer_id'),
  );
  await Promise.all([
    client.leave(userKey(userId), registration.peerId, micros),
    isHub ? forgetHub(store, userId, registration.peerId, micros) : undefined,
    ...sets.map((set) => withdrawClaims(client, set)),
  ]).catch((error: unknown) => report(error, 'previous user not left'));
  inBackground(store, 'count not updated', [countUser(store, userId)]);
}

/** Writes a hold, and returns false when another tracker wrote it for another user a moment ago. */
async function renewHold(store: Store, peerId: string, owner = ''): Promise<boolean> {
  const { client, roundTrip } = store;
  const [reply] = await roundTrip([writeHold(client, peerId, owner)]);
  if (reply === HELD) return false;
  inBackground(store, 'hold not counted', [countHold(client, peerId, owner)]);
  return true;
}

async function unregister(
  store: Store,
  peerId: string,
  owner: string | undefined,
  isHub = false,
): Promise<boolean> {
  const { client, roundTrip } = store;
  const ownerText = owner === undefined ? '' : encodeOwner(owner);
  const [taken] = await roundTrip([client.take(peerKey(peerId), ownerText, Number(isHub))]);
  if (taken === KEPT_HUB) return false;
  const freed = freeHold(client, peerId, owner);
  if (taken === null) {
    await roundTrip([freed]);
    return false;
  }
  const old = decodeRecord(taken);
  const { userId } = old;
  await roundTrip([
    freed,
    client.zrem(ALL_KEY, peerId),
    userId === null ? 0 : client.zrem(userKey(userId), peerId),
    userId !== null && old.isHub ? forgetHub(store, userId, peerId) : 0,
  ]);
  forgetRegistration(store, peerId, userId);
  return true;
}
