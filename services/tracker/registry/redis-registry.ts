// The registry that several replicas share. It owns the layout of keys in Redis, documented in
// docs/decisions/tracker-registry-in-redis.md:
//   rustory:peer:<id>    string with a time to live: the record, the only authoritative copy
//   rustory:user:<uid>   sorted set of peer ids by registration time: an index, repaired when it is read
//   rustory:all          the same over all peers; the maximum number of peers is enforced on it
// and the keys of redis-claims.ts, which find identities that two devices use, and of redis-holds.ts, which keep the peer
// ids of users whose devices are away.
// No command and no script touches keys of different slots, so a Cluster serves it too.
import { setTimeout as pause } from 'node:timers/promises';
import { monotonicMs } from '../../shared/clock.ts';
import { describeError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/log.ts';
import { refused } from '../../shared/result.ts';
import { type CallQueueLimits, createCallQueue } from './call-queue.ts';
import { CONNECT_TIMEOUT_MS, createRedisClient, type RedisClient } from './redis-client.ts';
import type { RedisAddress } from './redis-url.ts';
import { claimsOf, conflictsOf } from './claims.ts';
import {
  decodeClaims,
  decodeConflicts,
  forgetClaims,
  readConflicts,
  reportConflict,
  sendClaims,
  withdrawClaims,
} from './redis-claims.ts';
import { pageById } from './page-by-id.ts';
import { countHold, DUE, freeHold, HELD, readHold, writeHold } from './redis-holds.ts';
import { createProbe } from './redis-probe.ts';
import { decodeEntries, decodeRecord, encodeOwner, encodeRecord } from './redis-records.ts';
import {
  type ListedPeer,
  type ListQuery,
  type Page,
  type RegisterResult,
  type Registration,
  type Registry,
  RegistryOverloadedError,
  RegistryUnavailableError,
} from './registry.ts';

export interface RedisRegistryOptions {
  readonly ttlSeconds: number;
  readonly maxPeers: number;
  readonly log: Logger;
  /** Receives the duration of each probe of Redis in seconds, or `undefined` when it failed. */
  readonly onProbe?: (seconds: number | undefined) => void;
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

/** Deadline of one round trip in milliseconds, for replies that keep arriving but are too slow. */
const ROUND_TRIP_MS = 5_000;

/** Maximum records of one MGET and index entries of one repair script, so that other clients are not delayed. */
const CHUNK = 1_000;

/**
 * Maximum index entries of a listing without a limit. The peers of a user are limited only by the maximum of all peers.
 */
const UNLIMITED = Number.MAX_SAFE_INTEGER;

const ALL = 'rustory:all';
const userKey = (userId: string): string => `rustory:user:${userId}`;
const peerKey = (peerId: string): string => `rustory:peer:${peerId}`;

/** The state that all calls of the registry share. */
interface Store {
  readonly client: RedisClient;
  readonly options: RedisRegistryOptions;
  readonly ttlMicros: number;
  readonly roundTrip: RoundTrip;
}

/**
 * Waits for the replies to commands that were sent together. @throws RegistryUnavailableError, RegistryOverloadedError
 */
type RoundTrip = <T extends readonly unknown[] | []>(
  commands: T,
) => Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }>;

export function createRedisRegistry(address: RedisAddress, options: RedisRegistryOptions): Registry {
  const client = createRedisClient(address);
  // A command without a connection fails without a reason. Only this event has the reason.
  let connectionError: unknown;
  client.on('error', (error) => {
    connectionError = error;
  });
  const store: Store = {
    client,
    options,
    ttlMicros: options.ttlSeconds * 1_000_000,
    roundTrip: createRoundTrip(() => connectionError),
  };
  let live: number | undefined;
  const probe = createProbe({
    ...options,
    async ask() {
      [live] = await store.roundTrip([client.countLive(ALL, store.ttlMicros)]);
      connectionError = undefined;
    },
    reconnect: () => client.disconnect(true),
  });
  const queue = createCallQueue(options.callLimits ?? CALL_LIMITS, monotonicMs);

  function throwIfUnavailable(): void {
    const problem = probe.problem();
    if (problem !== undefined) throw new RegistryUnavailableError(problem);
  }

  /** Queues a call and runs it. If the last probe failed, the call fails immediately, before and after its wait. */
  function call<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    throwIfUnavailable();
    return queue.run(bytes, async () => {
      throwIfUnavailable();
      return work();
    });
  }

  return {
    name: 'redis registry',
    /** Resolves after the first probe, even if the probe failed: the registry recovers when Redis responds. */
    async start() {
      const connected = client.connect().catch(() => {});
      await Promise.race([connected, pause(CONNECT_TIMEOUT_MS, undefined, { ref: false })]);
      await probe.start();
    },
    async stop() {
      await probe.stop();
      client.disconnect();
    },
    register: async (registration, owner) =>
      call(registration.json.length, () => register(store, registration, owner)),
    unregister: async (peerId, owner) => call(peerId.length, () => unregister(store, peerId, owner)),
    list: async (query) => call(0, () => list(store, query)),
    conflicts: async () =>
      call(0, async () => decodeConflicts((await store.roundTrip([readConflicts(client)]))[0])),
    live: () => live,
    problem: () => probe.problem(),
  };
}

function createRoundTrip(connectionError: () => unknown): RoundTrip {
  return async (commands) => {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new RegistryOverloadedError(`The replies took longer than ${ROUND_TRIP_MS} ms.`)),
      ROUND_TRIP_MS,
    );
    try {
      return await Promise.race([Promise.all(commands), late.promise]);
    } catch (error) {
      if (error instanceof RegistryOverloadedError) throw error;
      throw new RegistryUnavailableError('Redis did not respond.', { cause: connectionError() ?? error });
    } finally {
      clearTimeout(timer);
    }
  };
}

async function register(
  store: Store,
  registration: Registration,
  owner: string | undefined,
): Promise<RegisterResult> {
  const { client, options, ttlMicros, roundTrip } = store;
  const { peerId, userId, json } = registration;
  const [hold] = owner === undefined ? [] : await roundTrip([readHold(client, peerId, owner)]);
  if (hold === HELD) return refused('held');
  const record = encodeRecord(userId, json);
  const ttlMs = options.ttlSeconds * 1_000;
  const sets = claimsOf(registration);
  const [written, enrolled, , ...claimed] = await roundTrip([
    owner === undefined
      ? client.set(peerKey(peerId), record, 'PX', ttlMs)
      : client.replace(peerKey(peerId), record, ttlMs, encodeOwner(owner)),
    client.enroll(ALL, peerId, ttlMicros, options.maxPeers),
    userId === null ? 1 : client.enroll(userKey(userId), peerId, ttlMicros, UNLIMITED),
    ...sets.map((set) => sendClaims(client, set).catch(() => [])),
  ]);
  if (owner === undefined) inBackground(store, 'hold not freed', [freeHold(client, peerId)]);
  const isHeld = written !== 0 && enrolled === 1 && hold === DUE && !(await renewHold(store, peerId, owner));
  if (written !== 0 && enrolled === 1 && !isHeld) {
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
  if (written === 0) return refused('foreign');
  // The order does not matter, so one round trip is used. The record of a refused peer is withdrawn afterwards.
  await roundTrip([
    client.withdraw(peerKey(peerId), record),
    userId === null ? 0 : client.zrem(userKey(userId), peerId),
    isHeld ? client.zrem(ALL, peerId) : 0,
  ]);
  return refused(isHeld ? 'held' : 'full');
}

/** Writes a hold, and returns false when another tracker wrote it for another user a moment ago. */
async function renewHold(store: Store, peerId: string, owner = ''): Promise<boolean> {
  const { client, roundTrip } = store;
  const [reply] = await roundTrip([writeHold(client, peerId, owner)]);
  if (reply === HELD) return false;
  inBackground(store, 'hold not counted', [countHold(client, peerId, owner)]);
  return true;
}

async function unregister(store: Store, peerId: string, owner: string | undefined): Promise<boolean> {
  const { client, roundTrip } = store;
  const [taken] = await roundTrip([
    client.take(peerKey(peerId), owner === undefined ? '' : encodeOwner(owner)),
    freeHold(client, peerId, owner),
  ]);
  if (taken === null) return false;
  const { userId } = decodeRecord(taken);
  inBackground(store, 'claims not forgotten', [forgetClaims(client, peerId)]);
  await roundTrip([client.zrem(ALL, peerId), userId === null ? 0 : client.zrem(userKey(userId), peerId)]);
  return true;
}

async function list(store: Store, { userId, limit, after }: ListQuery): Promise<Page> {
  const { client, roundTrip } = store;
  const key = userId === undefined ? ALL : userKey(userId);
  const [flat] = await roundTrip([client.zrange(key, '+inf', '-inf', 'BYSCORE', 'REV', 'WITHSCORES')]);
  const entries = decodeEntries(flat);
  const { shown, next } =
    limit === undefined ? { shown: entries, next: undefined } : pageById(entries, limit, after);
  const records = await readRecords(
    store,
    shown.map(({ peerId }) => peerKey(peerId)),
  );
  const peers: ListedPeer[] = [];
  const vanished: string[] = [];
  for (const [index, entry] of shown.entries()) {
    const record = records[index];
    const found = typeof record === 'string' ? decodeRecord(record) : undefined;
    if (found !== undefined && (userId === undefined || found.userId === userId))
      peers.push({ ...entry, json: found.json });
    else vanished.push(entry.peerId, String(entry.seenUnixMicros));
  }
  repair(store, key, vanished);
  return next === undefined ? { peers } : { peers, next };
}

async function readRecords({ client, roundTrip }: Store, keys: string[]): Promise<(string | null)[]> {
  if (keys.length === 0) return [];
  // In a Cluster, keys of different slots require one command each. The client pipelines the commands of each node.
  if (client.isCluster) return roundTrip(keys.map((key) => client.get(key)));
  const chunks = await roundTrip(inChunks(keys, CHUNK).map((chunk) => client.mget(chunk)));
  return chunks.flat();
}

/** Removes index entries whose record is gone, unless the peer registered again in the meantime. It is not awaited. */
function repair(store: Store, key: string, vanished: string[]): void {
  const chunks = inChunks(vanished, 2 * CHUNK).map((chunk) => store.client.repair(key, ...chunk));
  inBackground(store, 'index not repaired', chunks);
}

/** Lets commands run without waiting for their replies. */
function inBackground({ options }: Store, failure: string, commands: readonly Promise<unknown>[]): void {
  for (const command of commands)
    command.catch((error: unknown) => options.log.debug({ error: describeError(error) }, failure));
}

function inChunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}
