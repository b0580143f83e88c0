// The registry that many replicas share. It owns the layout of keys in Redis, documented in
// docs/decisions/tracker-registry-in-redis.md:
//   rustory:peer:<id>    string with a time to live: the record, the only truth
//   rustory:user:<uid>   sorted set of peer ids by registration time: an index, repaired as it is read
//   rustory:all          the same over all peers; also what the limit of peers is counted on
// No command and no script touches two keys of different slots, so a Cluster serves it too.
import { setTimeout as pause } from 'node:timers/promises';
import { Cluster, Redis } from 'ioredis';
import { describeError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/log.ts';
import type { RedisAddress } from './redis-url.ts';
import { createProbe, type Probe } from './redis-probe.ts';
import { decodeEntries, decodeRecord, encodeOwner, encodeRecord } from './redis-records.ts';
import { COUNT_LIVE, ENROLL, REPAIR, REPLACE, TAKE, WITHDRAW } from './redis-scripts.ts';
import {
  type ListedPeer,
  type ListQuery,
  type Page,
  type Registration,
  type Registry,
  RegistryUnavailableError,
} from './registry.ts';

export interface RedisRegistryOptions {
  readonly ttlSeconds: number;
  readonly maxPeers: number;
  readonly log: Logger;
  /** Told the time each probe of Redis took, in seconds, or that it failed. */
  readonly onProbe?: (seconds: number | undefined) => void;
}

/** Longest wait for Redis' answer, in milliseconds: released clients give up after one second. */
const DEADLINE_MS = 250;

/** Added to the deadline of a listing for each thousand peers it reads, in milliseconds. */
const DEADLINE_PER_THOUSAND_MS = 25;

/** Pause before connecting again, in milliseconds. */
const RECONNECT_MS = 100;

/** Longest wait for a connection, in milliseconds. */
const CONNECT_TIMEOUT_MS = 1_000;

/** Redirections a Cluster command follows; a resharding needs two. */
const MAX_REDIRECTIONS = 4;

/** Records read by one MGET, and index entries repaired by one script: what Redis does without making others wait. */
const CHUNK = 1_000;

/** Index entries read beyond a page, because those seen in one microsecond have no other order than their name. */
const TIE_SLACK = 16;

/** No limit on the peers of one user but the limit on all. */
const UNLIMITED = Number.MAX_SAFE_INTEGER;

const ALL = 'rustory:all';
const userKey = (userId: string): string => `rustory:user:${userId}`;
const peerKey = (peerId: string): string => `rustory:peer:${peerId}`;

interface Scripts {
  enroll(key: string, peerId: string, ttlMicros: number, most: number): Promise<number>;
  replace(key: string, record: string, ttlMs: number, owner: string): Promise<number>;
  take(key: string, owner: string): Promise<string | null>;
  withdraw(key: string, record: string): Promise<number>;
  repair(key: string, ...entries: string[]): Promise<number>;
  countLive(key: string, ttlMicros: number): Promise<number>;
}

type Client = (Redis | Cluster) & Scripts;

export function createRedisRegistry(address: RedisAddress, options: RedisRegistryOptions): Registry {
  return new RedisRegistry(address, options);
}

class RedisRegistry implements Registry {
  readonly name = 'redis registry';
  readonly #options: RedisRegistryOptions;
  readonly #client: Client;
  readonly #ttlMicros: number;
  readonly #probe: Probe;
  #live: number | undefined;
  #connectionError: unknown;

  constructor(address: RedisAddress, options: RedisRegistryOptions) {
    this.#options = options;
    this.#ttlMicros = options.ttlSeconds * 1_000_000;
    this.#client = createClient(address);
    this.#probe = createProbe({
      ...options,
      ask: async () => {
        [this.#live] = await this.#answered([this.#client.countLive(ALL, this.#ttlMicros)]);
        this.#connectionError = undefined;
      },
      reconnect: () => this.#client.disconnect(true),
    });
    // Commands fail for want of a connection; why there is none, only this event tells.
    this.#client.on('error', (error) => {
      this.#connectionError = error;
    });
  }

  /** Resolves after the first probe, whether Redis answered or not: the tracker heals by itself when it does. */
  async start(): Promise<void> {
    const connected = this.#client.connect().catch(() => {});
    await Promise.race([connected, pause(CONNECT_TIMEOUT_MS, undefined, { ref: false })]);
    await this.#probe.start();
  }

  async stop(): Promise<void> {
    await this.#probe.stop();
    this.#client.disconnect();
  }

  async register(
    { peerId, userId, json }: Registration,
    owner?: string,
  ): Promise<'registered' | 'full' | 'foreign'> {
    const client = this.#usable();
    const record = encodeRecord(userId, json);
    const ttlMs = this.#options.ttlSeconds * 1_000;
    const [written, enrolled] = await this.#answered([
      owner === undefined
        ? client.set(peerKey(peerId), record, 'PX', ttlMs)
        : client.replace(peerKey(peerId), record, ttlMs, encodeOwner(owner)),
      client.enroll(ALL, peerId, this.#ttlMicros, this.#options.maxPeers),
      userId === null ? 1 : client.enroll(userKey(userId), peerId, this.#ttlMicros, UNLIMITED),
    ]);
    if (written === 0) return 'foreign';
    if (enrolled === 1) return 'registered';
    // One round trip is worth more than order: the record of a peer for which there was no room is taken back.
    await this.#answered([
      client.withdraw(peerKey(peerId), record),
      userId === null ? 0 : client.zrem(userKey(userId), peerId),
    ]);
    return 'full';
  }

  async unregister(peerId: string, owner?: string): Promise<boolean> {
    const client = this.#usable();
    const [taken] = await this.#answered([
      client.take(peerKey(peerId), owner === undefined ? '' : encodeOwner(owner)),
    ]);
    if (taken === null) return false;
    const { userId } = decodeRecord(taken);
    await this.#answered([
      client.zrem(ALL, peerId),
      userId === null ? 0 : client.zrem(userKey(userId), peerId),
    ]);
    return true;
  }

  async list({ userId, limit, after }: ListQuery): Promise<Page> {
    const client = this.#usable();
    const key = userId === undefined ? ALL : userKey(userId);
    const from = after === undefined ? '+inf' : after.seen;
    const most = limit === undefined ? -1 : limit + 1 + TIE_SLACK;
    const [flat] = await this.#answered([
      client.zrange(key, from, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, most, 'WITHSCORES'),
    ]);
    const entries = decodeEntries(flat, after);
    const shown = limit === undefined ? entries : entries.slice(0, limit);
    const records = await this.#read(shown.map(({ peerId }) => peerKey(peerId)));
    const peers: ListedPeer[] = [];
    const vanished: string[] = [];
    for (const [index, entry] of shown.entries()) {
      const record = records[index];
      const found = typeof record === 'string' ? decodeRecord(record) : undefined;
      if (found !== undefined && (userId === undefined || found.userId === userId))
        peers.push({ ...entry, json: found.json });
      else vanished.push(entry.peerId, String(entry.seen));
    }
    this.#repair(key, vanished);
    const last = shown.at(-1);
    return shown.length < entries.length && last !== undefined ? { peers, next: last } : { peers };
  }

  live(): number | undefined {
    return this.#live;
  }

  problem(): string | undefined {
    return this.#probe.problem();
  }

  /** The client, unless it is known that Redis does not answer: then callers learn it at once. */
  #usable(): Client {
    const problem = this.problem();
    if (problem !== undefined) throw new RegistryUnavailableError(problem);
    return this.#client;
  }

  async #read(keys: string[]): Promise<(string | null)[]> {
    if (keys.length === 0) return [];
    const deadline = DEADLINE_MS + (keys.length / CHUNK) * DEADLINE_PER_THOUSAND_MS;
    // A Cluster takes keys of several slots one by one; the client sends them together to each node.
    if (this.#client.isCluster)
      return this.#answered(
        keys.map((key) => this.#client.get(key)),
        deadline,
      );
    const chunks = await this.#answered(
      inChunks(keys, CHUNK).map((chunk) => this.#client.mget(chunk)),
      deadline,
    );
    return chunks.flat();
  }

  /** Removes index entries whose record is gone, unless the peer registered again meanwhile. Nobody waits for it. */
  #repair(key: string, vanished: string[]): void {
    for (const chunk of inChunks(vanished, 2 * CHUNK))
      this.#client.repair(key, ...chunk).catch((error: unknown) => {
        this.#options.log.debug({ error: describeError(error) }, 'index not repaired');
      });
  }

  /** All answers to commands that were sent together, or a `RegistryUnavailableError` at the deadline. */
  async #answered<T extends readonly unknown[] | []>(
    commands: T,
    deadlineMs = DEADLINE_MS,
  ): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
    const late = Promise.withResolvers<never>();
    const tooLate = (): void => late.reject(new Error(`no answer within ${Math.round(deadlineMs)} ms`));
    // Timers go before sockets: where this process itself was held up, the answer may be there and has yet to be read.
    const timer = setTimeout(() => setImmediate(tooLate), deadlineMs);
    try {
      return await Promise.race([Promise.all(commands), late.promise]);
    } catch (error) {
      throw new RegistryUnavailableError('redis did not answer', { cause: this.#connectionError ?? error });
    } finally {
      clearTimeout(timer);
    }
  }
}

function createClient({ kind, nodes, tls, username, password, database, masterName }: RedisAddress): Client {
  const login = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls ? { tls: {} } : {}),
  };
  const common = {
    ...login,
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: DEADLINE_MS,
    // A command whose connection broke is answered with an error now, and not repeated later behind our back.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    // After a failover the old master refuses writes: leave it and ask anew.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  };
  const scripts = {
    enroll: { lua: ENROLL, numberOfKeys: 1 },
    replace: { lua: REPLACE, numberOfKeys: 1 },
    take: { lua: TAKE, numberOfKeys: 1 },
    withdraw: { lua: WITHDRAW, numberOfKeys: 1 },
    repair: { lua: REPAIR, numberOfKeys: 1 },
    countLive: { lua: COUNT_LIVE, numberOfKeys: 1 },
  };
  const shared = { lazyConnect: true, enableOfflineQueue: false, enableAutoPipelining: true, scripts };
  if (kind === 'cluster')
    return new Cluster([...nodes], {
      ...shared,
      redisOptions: common,
      // By itself the client asks the DNS and connects to addresses, which certificates do not have.
      ...(tls ? { dnsLookup: (host, answer) => answer(null, host) } : {}),
      maxRedirections: MAX_REDIRECTIONS,
      clusterRetryStrategy: () => RECONNECT_MS,
      slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
      retryDelayOnFailover: RECONNECT_MS,
      retryDelayOnClusterDown: RECONNECT_MS,
    }) as Cluster & Scripts;
  const retry = { ...shared, ...common, db: database, retryStrategy: () => RECONNECT_MS };
  if (kind === 'standalone') return new Redis({ ...retry, ...nodes[0] }) as Redis & Scripts;
  return new Redis({
    ...retry,
    name: masterName,
    sentinels: [...nodes],
    sentinelRetryStrategy: () => RECONNECT_MS,
    sentinelCommandTimeout: CONNECT_TIMEOUT_MS,
    // Sentinels that ask for a login have the same one; those that ask for none let any in.
    ...(username === undefined ? {} : { sentinelUsername: username }),
    ...(password === undefined ? {} : { sentinelPassword: password }),
    ...(tls ? { enableTLSForSentinelMode: true, sentinelTLS: {} } : {}),
    // Told of a new master by the Sentinels, the client leaves the old one without waiting for its end.
    failoverDetector: true,
  }) as Redis & Scripts;
}

function inChunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}
