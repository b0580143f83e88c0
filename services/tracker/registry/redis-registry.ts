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
import { CALL_LIMITS, type CallQueueLimits, createCallQueue } from './call-queue.ts';
import { decodeConflicts, readConflicts } from './redis-claims.ts';
import { freeHold } from './redis-holds.ts';
import { ALL_KEY, peerKey, userKey } from './redis-keys.ts';
import { forgetRegistration } from './redis-counts.ts';
import { forgetHub } from './redis-hubs.ts';
import { createRedisLink } from './redis-link.ts';
import { createListings } from './redis-listing.ts';
import type { RedisProblem } from './redis-problems.ts';
import { createProbe } from './redis-probe.ts';
import { decodeRecord, encodeOwner } from './redis-records.ts';
import { createRegister } from './redis-register.ts';
import { KEPT_HUB } from './redis-scripts.ts';
import { createSharedReads } from './redis-shared-reads.ts';
import { createReportError, createRoundTrip, type ReportError, type Store } from './redis-store.ts';
import type { RedisAddress } from './redis-url.ts';
import {
  type ListQuery,
  type Page,
  RegistryOverloadedError,
  RegistryUnavailableError,
  type RemoteRegistry,
} from './registry.ts';

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

/** Lines per minute in the log about failed commands, for each reason. */
const LINES_PER_MINUTE = 2;

/** @param readAddress is called for each connection, because the login may have changed */
export function createRedisRegistry(
  readAddress: RedisAddress | (() => RedisAddress),
  options: RedisRegistryOptions,
): RemoteRegistry {
  const { ttlSeconds, maxPeers, log, onProbe, onError } = options;
  const link = createRedisLink(typeof readAddress === 'function' ? readAddress : () => readAddress);
  const reportError = createReportError(createLimitedLog({ log, perMinute: LINES_PER_MINUTE }), onError);
  const report: ReportError = (error, failure) => {
    link.noticeMoved(error);
    reportError(error, failure);
  };
  const roundTrip = createRoundTrip(report, () => (link.client() === undefined ? link.failure() : undefined));
  const probe = createProbe({ link, ttlMicros: ttlSeconds * 1_000_000, log, onProbe });
  const register = createRegister(monotonicMs);
  const list = createListings(monotonicMs);
  const reads = createSharedReads<Page>();
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
    list: (query) => reads.read(keyOf(query), () => call('read', 0, (store) => list(store, query))),
    conflicts: () =>
      call('read', 0, async (store) =>
        decodeConflicts((await store.roundTrip([readConflicts(store.client)]))[0]),
      ),
    live: () => probe.live(),
    counts: () => probe.counts(),
    problem: () => probe.problem(),
  };
}

/** Equal for queries with the same answer. */
function keyOf({ userId, limit, after, star }: ListQuery): string {
  const view = star === undefined ? null : [star.ownPeerId ?? null];
  return JSON.stringify([userId ?? null, limit ?? null, after ?? null, view]);
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
