// The Redis client: ioredis with all its limits and retries, for one server, Sentinels or a Cluster.
import { Cluster, Redis } from 'ioredis';
import { SCRIPTS } from './redis-scripts.ts';
import { createRedisWatchdog } from './redis-watchdog.ts';
import type { RedisAddress } from './redis-url.ts';

/** Deadline for connecting, in milliseconds. */
export const CONNECT_TIMEOUT_MS = 1_000;

/** Deadline for closing a connection, in milliseconds. Then it is destroyed. */
const DISCONNECT_TIMEOUT_MS = 250;

/** Delay before reconnecting, in milliseconds. */
const RECONNECT_MS = 100;

/** Maximum redirections of a Cluster command. A resharding requires two. */
const MAX_REDIRECTIONS = 4;

interface ScriptCommands {
  enroll(key: string, peerId: string, ttlMicros: number, maxPeers: number): Promise<number>;
  replace(key: string, record: string, ttlMs: number, owner: string): Promise<number>;
  take(key: string, owner: string): Promise<string | null>;
  withdraw(key: string, record: string): Promise<number>;
  repair(key: string, ...entries: string[]): Promise<number>;
  claim(key: string, forgetMicros: number, maxClaims: number, ...claims: string[]): Promise<string[]>;
  report(key: string, reportMicros: number, maxReports: number, conflict: string): Promise<number>;
  reported(key: string, reportMicros: number): Promise<string[]>;
  readHold(key: string, owner: string, tenureMicros: number, renewalMicros: number): Promise<string>;
  writeHold(
    key: string,
    owner: string,
    tenureMicros: number,
    keptMicros: number,
    longerMicros: number,
  ): Promise<string>;
  countHold(
    key: string,
    peerId: string,
    maxHolds: number,
    replaceableMicros: number,
    keptMicros: number,
  ): Promise<string>;
  freeHold(key: string, owner: string): Promise<string>;
  countLive(key: string, ttlMicros: number): Promise<number>;
}

export type RedisClient = (Redis | Cluster) & ScriptCommands;

/**
 * Creates a client that connects when `connect` is called. Its commands fail immediately without a connection, and soon
 * when Redis is unresponsive.
 */
export function createRedisClient(address: RedisAddress): RedisClient {
  const watchdog = createRedisWatchdog();
  if (address.kind === 'cluster') {
    const cluster = createCluster(address);
    // The connection to an unresponsive node is closed, because only a new connection reaches the node that took over.
    cluster.on('+node', (node: Redis) => watchdog.add(node, () => node.disconnect()));
    return cluster;
  }
  const redis = createRedis(address);
  watchdog.add(redis);
  return redis;
}

function commonOptions({ tls, username, password }: RedisAddress) {
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls ? { tls: {} } : {}),
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    // A command whose connection was lost fails immediately and is not repeated later.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    // After a failover the old master refuses writes, and a reconnect finds the new one.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  };
}

const CLIENT_OPTIONS = {
  lazyConnect: true,
  enableOfflineQueue: false,
  enableAutoPipelining: true,
  scripts: SCRIPTS,
} as const;

function createRedis(address: RedisAddress): Redis & ScriptCommands {
  const { kind, nodes, tls, username, password, database, masterName } = address;
  const options = {
    ...CLIENT_OPTIONS,
    ...commonOptions(address),
    db: database,
    retryStrategy: () => RECONNECT_MS,
  };
  if (kind === 'standalone') return new Redis({ ...options, ...nodes[0] }) as Redis & ScriptCommands;
  return new Redis({
    ...options,
    name: masterName,
    sentinels: [...nodes],
    sentinelRetryStrategy: () => RECONNECT_MS,
    sentinelCommandTimeout: CONNECT_TIMEOUT_MS,
    // Sentinels that require a login use that of Redis. Sentinels that require no login accept any.
    ...(username === undefined ? {} : { sentinelUsername: username }),
    ...(password === undefined ? {} : { sentinelPassword: password }),
    ...(tls ? { enableTLSForSentinelMode: true, sentinelTLS: {} } : {}),
    // When the Sentinels announce a new master, the client disconnects from the old one without waiting for its
    // failure.
    failoverDetector: true,
  }) as Redis & ScriptCommands;
}

function createCluster(address: RedisAddress): Cluster & ScriptCommands {
  return new Cluster([...address.nodes], {
    ...CLIENT_OPTIONS,
    redisOptions: commonOptions(address),
    // The default resolves host names and connects to IP addresses, which certificates do not contain.
    ...(address.tls ? { dnsLookup: (host, callback) => callback(null, host) } : {}),
    maxRedirections: MAX_REDIRECTIONS,
    clusterRetryStrategy: () => RECONNECT_MS,
    slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
    retryDelayOnFailover: RECONNECT_MS,
    retryDelayOnClusterDown: RECONNECT_MS,
  }) as Cluster & ScriptCommands;
}
