// The Redis client: ioredis with all its limits, for one server or a Cluster. A client connects once. `redis-link.ts`
// replaces a client that has ended by a new one.
import { Cluster, Redis } from 'ioredis';
import { SCRIPTS } from './redis-scripts.ts';
import type { ListingReply, RegisterReply } from './redis-whole-scripts.ts';
import { createRedisWatchdog } from './redis-watchdog.ts';
import type { RedisAddress, RedisNode } from './redis-url.ts';

/** Deadline for connecting, in milliseconds. */
export const CONNECT_TIMEOUT_MS = 1_000;

/** Deadline for closing a connection, in milliseconds. Then it is destroyed. */
const DISCONNECT_TIMEOUT_MS = 250;

/** Delay before a command is sent again to a Cluster that moves slots, in milliseconds. */
const REDIRECT_MS = 100;

/** Maximum redirections of a Cluster command. A resharding requires two. */
const MAX_REDIRECTIONS = 4;

interface ScriptCommands {
  register(keys: number, ...keysAndArguments: (string | number)[]): Promise<RegisterReply[]>;
  readListing(key: string, maxEntries: number, prefix: string, digest: string): Promise<ListingReply | null>;
  enroll(key: string, peerId: string, ttlMicros: number, maxPeers: number): Promise<number>;
  replace(
    key: string,
    record: string,
    ttlMs: number,
    owner: string,
    isHub: number,
  ): Promise<number | [string, string]>;
  leave(key: string, peerId: string, micros: string): Promise<number>;
  take(key: string, owner: string, isHub: number): Promise<string | null>;
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
  liveMembers(key: string, ttlMicros: number): Promise<string[]>;
  countLive(key: string, ttlMicros: number): Promise<number>;
}

export type RedisClient = (Redis | Cluster) & ScriptCommands;

/**
 * Creates a client that connects when `connect` is called. Its commands fail immediately without a connection, and soon
 * when Redis is unresponsive. When its connection ends, the client ends.
 *
 * @param nodes the server, or nodes of the Cluster
 */
export function createRedisClient(
  address: RedisAddress,
  nodes: readonly [RedisNode, ...RedisNode[]],
): RedisClient {
  const watchdog = createRedisWatchdog();
  if (address.kind === 'cluster') {
    const cluster = createCluster(address, nodes);
    // The connection to an unresponsive node is closed, because only a new connection reaches the node that took over.
    cluster.on('+node', (node: Redis) => watchdog.add(node, () => node.disconnect()));
    return cluster;
  }
  const redis = new Redis({
    ...CLIENT_OPTIONS,
    ...connectionOptions(address),
    ...nodes[0],
    db: address.database,
    retryStrategy: null,
  }) as Redis & ScriptCommands;
  watchdog.add(redis);
  return redis;
}

/** Options of each connection. */
export function connectionOptions({
  tls,
  username,
  password,
}: Pick<RedisAddress, 'tls' | 'username' | 'password'>) {
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls ? { tls: {} } : {}),
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    // A server that loads its data refuses commands with this reason, which the check would hide.
    enableReadyCheck: false,
    // A command whose connection was lost fails immediately and is not repeated later.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
  };
}

const CLIENT_OPTIONS = {
  lazyConnect: true,
  enableOfflineQueue: false,
  enableReadyCheck: false,
  enableAutoPipelining: true,
  scripts: SCRIPTS,
} as const;

function createCluster(address: RedisAddress, nodes: readonly RedisNode[]): Cluster & ScriptCommands {
  return new Cluster([...nodes], {
    ...CLIENT_OPTIONS,
    redisOptions: connectionOptions(address),
    // The default resolves host names and connects to IP addresses, which certificates do not contain.
    ...(address.tls ? { dnsLookup: (host, callback) => callback(null, host) } : {}),
    maxRedirections: MAX_REDIRECTIONS,
    clusterRetryStrategy: () => null,
    slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
    retryDelayOnFailover: REDIRECT_MS,
    retryDelayOnClusterDown: REDIRECT_MS,
  }) as Cluster & ScriptCommands;
}
