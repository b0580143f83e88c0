import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createLogger } from '../../shared/log.ts';
import { until } from '../../../testing/wait.ts';
import {
  type ClusterGrid,
  type SentinelGrid,
  startClusterGrid,
  startSentinelGrid,
} from '../../../testing/redis-topologies.ts';
import { type RedisProcess, startRedis } from '../../../testing/redis.ts';
import { parseRedisUrl } from './redis-url.ts';
import { createRedisRegistry } from './redis-registry.ts';
import { device, type Subject, type SubjectOptions, suiteOfRegistry } from './registry.suite.ts';

const log = createLogger('test', 'silent');
const subjects: Subject[] = [];

// A registry left running would keep the tests from ending.
afterEach(async () => void (await Promise.all(subjects.splice(0).map((subject) => subject.close()))));

async function open(url: string, options: Partial<SubjectOptions> = {}): Promise<Subject> {
  const chosen = { ttlSeconds: 60, maxPeers: 1_000, ...options, log };
  const registry = createRedisRegistry(parseRedisUrl(url), chosen);
  const replica = createRedisRegistry(parseRedisUrl(url), chosen);
  await Promise.all([registry.start(), replica.start()]);
  const subject = {
    registry,
    replica,
    close: async () => void (await Promise.all([registry.stop(), replica.stop()])),
  };
  subjects.push(subject);
  return subject;
}

describe('in a standalone Redis', () => {
  let redis: RedisProcess;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis.stop());

  suiteOfRegistry('the registry', async (options) => {
    await redis.command('FLUSHALL');
    return open(redis.url, options);
  });

  /** Commands Redis was sent while the work ran, probes left out. */
  async function commandsOf(work: () => Promise<unknown>): Promise<string[]> {
    await redis.command('CONFIG', 'SET', 'slowlog-log-slower-than', 0, 'slowlog-max-len', 10_000);
    await redis.command('SLOWLOG', 'RESET');
    await work();
    const entries = (await redis.command('SLOWLOG', 'GET', 10_000)) as [number, number, number, string[]][];
    await redis.command('CONFIG', 'SET', 'slowlog-log-slower-than', -1);
    return entries
      .map(([, , , words]) => words.slice(0, 3).join(' '))
      .filter((words) => /^(mget|get|zrange) /i.test(words));
  }

  test('a listing of one user reads only what it returns, with 100,000 peers as with 100', async () => {
    await redis.command('FLUSHALL');
    const { registry } = await open(redis.url, { maxPeers: 200_000 });
    for (let n = 0; n < 10; n += 1) await registry.register(device(`alice${n}`));
    const few = await commandsOf(() => registry.list({ userId: 'alice' }));
    // A hundred thousand peers of others, written by Redis itself because the test is about reading.
    await redis.command(
      'EVAL',
      "for n = 1, 100000 do redis.call('ZADD', 'rustory:all', 4e15, 'p' .. n) end",
      0,
    );
    await until(() => registry.live() === 100_010, 'they are counted');
    const many = await commandsOf(() => registry.list({ userId: 'alice' }));
    expect(many).toEqual(few);
    expect(many).toHaveLength(2);
  });

  test('index entries of vanished records are not listed, and are removed as they are read', async () => {
    await redis.command('FLUSHALL');
    const { registry } = await open(redis.url);
    await registry.register(device('kept'));
    const old = (Date.now() - 5_000) * 1_000;
    for (const key of ['rustory:all', 'rustory:user:alice'])
      await redis.command('ZADD', key, old, 'vanished');
    expect((await registry.list({ userId: 'alice' })).peers.map(({ peerId }) => peerId)).toEqual(['kept']);
    await until(
      async () => (await redis.command('ZSCORE', 'rustory:user:alice', 'vanished')) === null,
      'repaired',
    );
    await registry.list({});
    await until(async () => (await redis.command('ZCARD', 'rustory:all')) === 1, 'repaired');
  });

  test('an entry whose record may still be on its way is left alone', async () => {
    await redis.command('FLUSHALL');
    const { registry } = await open(redis.url);
    const [seconds] = (await redis.command('TIME')) as string[];
    await redis.command('ZADD', 'rustory:user:alice', Number(seconds) * 1_000_000 + 60_000_000, 'coming');
    await registry.list({ userId: 'alice' });
    await registry.list({ userId: 'alice' });
    expect(await redis.command('ZSCORE', 'rustory:user:alice', 'coming')).not.toBeNull();
  });

  test('nothing is left in Redis a time to live after the last registration', async () => {
    await redis.command('FLUSHALL');
    const { registry } = await open(redis.url, { ttlSeconds: 1 });
    for (let n = 0; n < 50; n += 1) await registry.register(device(`p${n}`, `user${n}`));
    expect(await redis.command('DBSIZE')).toBeGreaterThan(50);
    await until(async () => (await redis.command('DBSIZE')) === 0, 'Redis is empty');
  });

  test('the clock that counts is that of Redis', async () => {
    await redis.command('FLUSHALL');
    const { registry } = await open(redis.url);
    await registry.register(device('p1'));
    const [seconds] = (await redis.command('TIME')) as string[];
    const seen = (await registry.list({})).peers[0]?.seen ?? 0;
    expect(Math.abs(seen / 1_000_000 - Number(seconds))).toBeLessThanOrEqual(2);
  });
});

describe('through Sentinels', () => {
  let grid: SentinelGrid;
  let opened = 0;
  beforeAll(async () => {
    grid = await startSentinelGrid();
  }, 60_000);
  afterAll(() => grid.stop());

  suiteOfRegistry('the registry, with a failover in the middle', async (options) => {
    opened += 1;
    if (opened === 12) await grid.failOver();
    await grid.master().command('FLUSHALL');
    return open(grid.url, options);
  });
});

describe('through Sentinels with a password', () => {
  test.each([true, false])(
    'a registry logs in, whether the Sentinels have it too (%s) or not',
    async (isForSentinels) => {
      const grid = await startSentinelGrid({ password: 'a-password', isForSentinels });
      try {
        const { registry, replica, close } = await open(grid.url);
        expect(registry.problem()).toBeUndefined();
        await registry.register(device('p1'));
        expect((await replica.list({ userId: 'alice' })).peers).toHaveLength(1);
        await close();
      } finally {
        await grid.stop();
      }
    },
    30_000,
  );
});

describe('in a Cluster', () => {
  let grid: ClusterGrid;
  beforeAll(async () => {
    grid = await startClusterGrid();
  }, 60_000);
  afterAll(() => grid.stop());

  suiteOfRegistry('the registry', async (options) => {
    await Promise.all(grid.nodes.map((node) => node.command('FLUSHALL')));
    return open(grid.url, options);
  });

  test('records are spread over all nodes', async () => {
    const { registry } = await open(grid.url);
    await Promise.all(Array.from({ length: 100 }, (_, n) => registry.register(device(`p${n}`, `user${n}`))));
    const sizes = await Promise.all(grid.nodes.map((node) => node.command('DBSIZE')));
    for (const size of sizes) expect(size).toBeGreaterThan(20);
  });
});
