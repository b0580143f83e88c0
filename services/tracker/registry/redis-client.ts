// The client of Redis: ioredis with every limit and retry decided here, for one server, Sentinels or a Cluster.
import { Cluster, Redis } from 'ioredis';
import { SCRIPTS } from './redis-scripts.ts';
import { createSilenceWatch } from './redis-silence.ts';
import type { RedisAddress } from './redis-url.ts';

/** Longest wait for a connection, in milliseconds. */
export const CONNECT_TIMEOUT_MS = 1_000;

/** Longest wait for the end of a connection that is closed, in milliseconds; then it is destroyed. */
const DISCONNECT_TIMEOUT_MS = 250;

/** Pause before connecting again, in milliseconds. */
const RECONNECT_MS = 100;

/** Redirections a Cluster command follows; a resharding needs two. */
const MAX_REDIRECTIONS = 4;

interface ScriptCommands {
  enroll(key: string, peerId: string, ttlMicros: number, maxPeers: number): Promise<number>;
  replace(key: string, record: string, ttlMs: number, owner: string): Promise<number>;
  take(key: string, owner: string): Promise<string | null>;
  withdraw(key: string, record: string): Promise<number>;
  repair(key: string, ...entries: string[]): Promise<number>;
  countLive(key: string, ttlMicros: number): Promise<number>;
}

export type RedisClient = (Redis | Cluster) & ScriptCommands;

/** A client that connects when `connect` is called. Its commands fail at once without a connection, or when Redis is silent. */
export function createRedisClient(address: RedisAddress): RedisClient {
  const silence = createSilenceWatch();
  if (address.kind === 'cluster') {
    const cluster = createCluster(address);
    // Only a new connection finds the node that took over; the client makes one when it is redirected there.
    cluster.on('+node', (node: Redis) => silence.add(node, () => node.disconnect()));
    return cluster;
  }
  const redis = createRedis(address);
  silence.add(redis);
  return redis;
}

function commonOptions({ tls, username, password }: RedisAddress) {
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls ? { tls: {} } : {}),
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    // A command whose connection broke fails at once and is not repeated later.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    // After a failover the old master refuses writes: connect again, to the new one.
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
    // Sentinels that require a login have the same one; those that require none accept any.
    ...(username === undefined ? {} : { sentinelUsername: username }),
    ...(password === undefined ? {} : { sentinelPassword: password }),
    ...(tls ? { enableTLSForSentinelMode: true, sentinelTLS: {} } : {}),
    // When the Sentinels announce a new master, the client leaves the old one without waiting for its end.
    failoverDetector: true,
  }) as Redis & ScriptCommands;
}

function createCluster(address: RedisAddress): Cluster & ScriptCommands {
  return new Cluster([...address.nodes], {
    ...CLIENT_OPTIONS,
    redisOptions: commonOptions(address),
    // The default resolves host names and connects to IP addresses, which certificates do not contain.
    ...(address.tls ? { dnsLookup: (host, answer) => answer(null, host) } : {}),
    maxRedirections: MAX_REDIRECTIONS,
    clusterRetryStrategy: () => RECONNECT_MS,
    slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
    retryDelayOnFailover: RECONNECT_MS,
    retryDelayOnClusterDown: RECONNECT_MS,
  }) as Cluster & ScriptCommands;
}
