// Keeps a connected Redis client. A client that has ended, for whatever reason, is replaced by a new one, which reads
// the login again, resolves host names again and asks the Sentinels again. Only this file creates clients, and it
// disconnects each of them.
import { setTimeout as pause } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { CONNECT_TIMEOUT_MS, createRedisClient, type RedisClient } from './redis-client.ts';
import { isMoved } from './redis-problems.ts';
import { findMaster, nodeKey, uniqueNodes } from './redis-sentinel.ts';
import type { RedisAddress, RedisNode } from './redis-url.ts';

/** Delay before the next attempt to connect, in milliseconds. */
const RECONNECT_MS = 100;

/** Deadline of one attempt after the address is known, in milliseconds: of the connection and the login. */
const CONNECT_DEADLINE_MS = 3 * CONNECT_TIMEOUT_MS;

/** Maximum nodes that were learned from Sentinels or a Cluster, so that those of the URL may be gone. */
const MAX_LEARNED = 16;

export interface RedisLink {
  /** Connects. Resolves when the first attempt has ended, or after the connect timeout. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** The connected client; `undefined` while there is no connection. */
  client(): RedisClient | undefined;
  /** The number of connections so far. */
  connections(): number;
  /** Why there is no connection. */
  failure(): unknown;
  /** Replaces the client by a new one. */
  renew(): void;
  /** Reads again which node of a Cluster has which slot, when the error says that a slot has moved. */
  noticeMoved(error: unknown): void;
  /** Asks the Sentinels, and replaces the client when they name another master. Does nothing without Sentinels. */
  checkMaster(): Promise<void>;
}

/** @param readAddress is called for each connection, because the login may have changed */
export function createRedisLink(readAddress: () => RedisAddress): RedisLink {
  const stopping = new AbortController();
  const attempted = Promise.withResolvers<void>();
  let current: RedisClient | undefined;
  let connections = 0;
  let failure: unknown = new Error('There is no connection yet.');
  let endCurrent: (() => void) | undefined;
  let master: RedisNode | undefined;
  let learned: readonly RedisNode[] = [];
  let running: Promise<void> = Promise.resolve();
  let checking: Promise<void> | undefined;

  async function askMaster(address: RedisAddress): Promise<RedisNode> {
    const question = { address, learned, current: master, signal: stopping.signal };
    const answer = await findMaster(question);
    learned = uniqueNodes([...answer.sentinels, ...learned]).slice(0, MAX_LEARNED);
    return answer.master;
  }

  async function nodesOf(address: RedisAddress): Promise<[RedisNode, ...RedisNode[]]> {
    if (address.kind === 'standalone') return [address.nodes[0]];
    if (address.kind === 'cluster') return [...address.nodes, ...learned];
    master = await askMaster(address);
    return [master];
  }

  function learnClusterNodes(client: RedisClient): void {
    if (!('nodes' in client)) return;
    const known = client.nodes().map(({ options }: Redis): RedisNode => {
      return { host: options.host ?? '', port: options.port ?? 0 };
    });
    learned = uniqueNodes([...known, ...learned]).slice(0, MAX_LEARNED);
  }

  /** Connects a new client, and resolves when it has ended. */
  async function useOneClient(): Promise<void> {
    const address = readAddress();
    const client = createRedisClient(address, await nodesOf(address));
    const ended = Promise.withResolvers<void>();
    let connectionError: unknown;
    client.on('error', (error) => (connectionError = nodeErrorOf(error)));
    client.once('end', ended.resolve);
    const end = (): void => ended.resolve();
    stopping.signal.addEventListener('abort', end);
    try {
      const isConnected = client.connect().then(() => true);
      const isLate = pause(CONNECT_DEADLINE_MS, false, { ref: false, signal: stopping.signal });
      if (!(await Promise.race([isConnected, isLate, ended.promise.then(() => false)])))
        throw new Error('The connection was not established.');
      current = client;
      connections += 1;
      learnClusterNodes(client);
      endCurrent = end;
      attempted.resolve();
      await ended.promise;
      failure = connectionError ?? new Error('The connection was closed.');
    } catch (error) {
      failure = connectionError ?? error;
    } finally {
      stopping.signal.removeEventListener('abort', end);
      current = undefined;
      endCurrent = undefined;
      client.disconnect();
    }
  }

  async function keepConnected(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await useOneClient();
      } catch (error) {
        failure = error;
      }
      attempted.resolve();
      await pause(RECONNECT_MS, undefined, { signal: stopping.signal }).catch(() => {});
    }
  }

  async function compareMaster(): Promise<void> {
    const address = readAddress();
    const used = master;
    if (address.kind !== 'sentinel' || current === undefined) return;
    const named = await askMaster(address);
    if (used === master && nodeKey(named) !== nodeKey(used)) endCurrent?.();
  }

  return {
    async start() {
      running = keepConnected();
      const timeout = pause(CONNECT_TIMEOUT_MS, undefined, { ref: false });
      await Promise.race([attempted.promise, timeout]);
    },
    async stop() {
      stopping.abort();
      await running;
      await checking;
    },
    client: () => current,
    connections: () => connections,
    failure: () => failure,
    renew: () => endCurrent?.(),
    noticeMoved(error) {
      // The client does this itself only when all commands that it sent together failed with the same error.
      if (current !== undefined && 'refreshSlotsCache' in current && isMoved(error))
        current.refreshSlotsCache(() => {});
    },
    checkMaster() {
      // The client stays when the Sentinels do not answer.
      checking ??= compareMaster()
        .catch(() => {})
        .finally(() => (checking = undefined));
      return checking;
    },
  };
}

/** The error of the last node, when no node of a Cluster could be used. */
function nodeErrorOf(error: unknown): unknown {
  const isOfCluster = typeof error === 'object' && error !== null && 'lastNodeError' in error;
  return isOfCluster ? (error.lastNodeError ?? error) : error;
}
