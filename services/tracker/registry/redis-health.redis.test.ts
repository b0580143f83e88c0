// What the registry reports is what its calls do: each case makes a real Redis refuse some work.
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import type { RedisProcess } from '../../../testing/redis.ts';
import { startCluster } from '../../../testing/redis-topologies.ts';
import { until } from '../../../testing/wait.ts';
import { device } from '../../../testing/tracker-registrations.ts';
import type { RedisProblem } from './redis-problems.ts';
import { open, outcomes, startServer } from './redis-health.suite.ts';
import { parseRedisUrl } from './redis-url.ts';
import { RegistryUnavailableError } from './registry.ts';

afterEach(cleanUp);

interface Refusal {
  readonly reason: RedisProblem;
  readonly text: string;
  readonly reads: boolean;
  readonly cause: (redis: RedisProcess) => Promise<unknown>;
  readonly end: (redis: RedisProcess) => Promise<unknown>;
}

const REFUSALS: Record<string, Refusal> = {
  'is full': {
    reason: 'full',
    text: 'OOM',
    reads: true,
    cause: (redis) => redis.command('CONFIG', 'SET', 'maxmemory', 1_000),
    end: (redis) => redis.command('CONFIG', 'SET', 'maxmemory', 0),
  },
  'became a replica': {
    reason: 'read_only',
    text: 'READONLY',
    reads: true,
    async cause(redis) {
      const master = await startServer();
      await redis.command('REPLICAOF', '127.0.0.1', master.port);
    },
    end: (redis) => redis.command('REPLICAOF', 'NO', 'ONE'),
  },
  'has too few replicas': {
    reason: 'replicas',
    text: 'NOREPLICAS',
    reads: true,
    cause: (redis) => redis.command('CONFIG', 'SET', 'min-replicas-to-write', 1),
    end: (redis) => redis.command('CONFIG', 'SET', 'min-replicas-to-write', 0),
  },
  'cannot save': {
    reason: 'disk',
    text: 'MISCONF',
    reads: true,
    async cause(redis) {
      await redis.command('CONFIG', 'SET', 'save', '3600 1');
      const [, directory] = (await redis.command('CONFIG', 'GET', 'dir')) as string[];
      await rm(directory ?? '', { recursive: true });
      await redis.command('BGSAVE');
      const isFailed = async (): Promise<boolean> =>
        String(await redis.command('INFO', 'persistence')).includes('rdb_last_bgsave_status:err');
      await until(isFailed, 'the snapshot failed');
    },
    end: (redis) => redis.command('CONFIG', 'SET', 'stop-writes-on-bgsave-error', 'no'),
  },
};

describe('a Redis that', () => {
  test.each(Object.keys(REFUSALS))('%s', async (name) => {
    const refusal = REFUSALS[name];
    if (refusal === undefined) throw new Error('unknown case');
    const redis = await startServer();
    const opened = await open(redis.url);
    expect(await outcomes(opened)).toEqual({ writes: true, reads: true });
    await refusal.cause(redis);
    await until(() => opened.reason() === refusal.reason, 'the reason is reported');
    expect(opened.registry.problem()).toContain(refusal.text);
    expect((await outcomes(opened)).writes).toBe(false);
    // The connection may just be replaced.
    if (refusal.reads) await until(async () => (await outcomes(opened)).reads, 'listings are served');
    await refusal.end(redis);
    await until(() => opened.registry.problem() === undefined, 'the registry recovers');
    expect(await outcomes(opened)).toEqual({ writes: true, reads: true });
  });

  test('is at its maximum memory refuses a registration between two probes, and the error is counted', async () => {
    const redis = await startServer();
    const opened = await open(redis.url);
    await redis.command('CONFIG', 'SET', 'maxmemory', 1_000);
    await expect(opened.registry.register(device('p1'))).rejects.toThrow(RegistryUnavailableError);
    await until(() => opened.reason() === 'full', 'the reason is reported');
    expect(opened.errors.every((reason) => reason === 'full')).toBe(true);
  });

  test('loads its data is reported until it has', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (data) => {
        const commands = data.toString().match(/\*\d+\r\n/g) ?? [];
        socket.write('-LOADING Redis is loading the dataset in memory\r\n'.repeat(commands.length));
      });
      onCleanup(() => socket.destroy());
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    onCleanup(() => void server.close());
    const opened = await open(`redis://127.0.0.1:${(server.address() as AddressInfo).port}`);
    await until(() => opened.reason() === 'loading', 'the reason is reported');
  });

  test('has no slots of the Cluster', async () => {
    const redis = await startServer(['--cluster-enabled', 'yes']);
    const opened = await open(redis.url);
    await until(() => opened.reason() === 'cluster_down', 'the reason is reported');
    expect(await outcomes(opened)).toEqual({ writes: false, reads: false });
  });

  test('lacks a command', async () => {
    const redis = await startServer(['--rename-command', 'GETDEL', '']);
    const opened = await open(redis.url);
    expect(opened.reason()).toBe('version');
    expect(opened.registry.problem()).toContain('getdel');
  });
});

test('one full node of a Cluster is reported, and the work of the others is done', async () => {
  const cluster = await startCluster();
  onCleanup(() => cluster.stop());
  const opened = await open(cluster.url);
  expect(opened.registry.problem()).toBeUndefined();
  const counted = await cluster.nodeOf('rustory:all');
  const full = cluster.nodes.find((node) => node !== counted);
  await full?.command('CONFIG', 'SET', 'maxmemory', 1_000);
  await until(() => opened.reason() === 'full', 'the reason is reported');
  expect(opened.registry.problem()).toContain('1 of 3 masters of the Cluster');
  const ids = Array.from({ length: 30 }, (_, n) => `p${n}`);
  for (const id of ids) {
    const isOnFull = (await cluster.nodeOf(`rustory:peer:${id}`)) === full;
    const isRegistered = await opened.registry.register(device(id, null)).then(
      () => true,
      () => false,
    );
    expect([id, isRegistered]).toEqual([id, !isOnFull]);
  }
  await full?.command('CONFIG', 'SET', 'maxmemory', 0);
  await until(() => opened.registry.problem() === undefined, 'the registry recovers');
});

describe('the login', () => {
  test('is read again when the password was changed', async () => {
    const redis = await startServer();
    let password: string | undefined;
    const opened = await open(() => ({ ...parseRedisUrl(redis.url), password }));
    expect(opened.registry.problem()).toBeUndefined();
    await redis.command('CONFIG', 'SET', 'requirepass', 'new');
    const admin = new Redis({ port: redis.port, password: 'new' });
    onCleanup(() => admin.disconnect());
    await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await until(() => opened.reason() === 'login', 'the reason is reported');
    expect(opened.registry.problem()).toContain('NOAUTH');
    password = 'new';
    await until(() => opened.registry.problem() === undefined, 'the registry recovers');
  });
});
