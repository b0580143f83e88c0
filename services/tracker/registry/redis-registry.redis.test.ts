import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { type ClusterSetup, startCluster } from '../../../testing/redis-topologies.ts';
import { type RedisProcess, startRedis } from '../../../testing/redis.ts';
import { until } from '../../../testing/wait.ts';
import { device } from '../../../testing/tracker-registrations.ts';
import { createLogger } from '../../shared/log.ts';
import { CLAIM_SECONDS, claimsOf } from './claims.ts';
import { peerKey, slotOf } from './redis-keys.ts';
import { createRedisRegistry } from './redis-registry.ts';
import { parseRedisUrl } from './redis-url.ts';
import type { ListQuery } from './registry.ts';
import { suiteOfHolds } from './holds.suite.ts';
import { type Replicas, type SuiteOptions, suiteOfRegistry } from './registry.suite.ts';

const log = createLogger('test', 'silent');

let redis: RedisProcess;
let cluster: ClusterSetup;

beforeAll(async () => {
  [redis, cluster] = await Promise.all([startRedis(), startCluster()]);
});
afterAll(async () => void (await Promise.all([redis.stop(), cluster.stop()])));
afterEach(cleanUp);

/** Two registries on the same Redis. */
async function open(url: string, options: Partial<SuiteOptions> = {}): Promise<Replicas> {
  const given = { ttlSeconds: 60, maxPeers: 1_000, ...options, log };
  const registry = createRedisRegistry(parseRedisUrl(url), given);
  const replica = createRedisRegistry(parseRedisUrl(url), given);
  await Promise.all([registry.start(), replica.start()]);
  const close = async (): Promise<void> => void (await Promise.all([registry.stop(), replica.stop()]));
  onCleanup(close);
  return { registry, replica, close };
}

async function openEmpty(options: Partial<SuiteOptions> = {}): Promise<Replicas> {
  await redis.command('FLUSHALL');
  return open(redis.url, options);
}

suiteOfRegistry('the registry in one Redis', openEmpty);

suiteOfRegistry('the registry in a Cluster', async (options) => {
  await Promise.all(cluster.nodes.map((node) => node.command('FLUSHALL')));
  return open(cluster.url, options);
});

/** Makes everything in a Redis older, as if time had passed. ARGV: seconds. */
const AGE = `
local micros = ARGV[1] * 1000000
for _, key in ipairs(redis.call('KEYS', 'rustory:*')) do
  local keptMs = redis.call('PTTL', key)
  if keptMs <= ARGV[1] * 1000 then
    redis.call('DEL', key)
  else
    if key:find('^rustory:hold:') then
      local first, last, owner = string.match(redis.call('GET', key), '^(%d+) (%d+) (.*)$')
      redis.call('SET', key, string.format('%.0f %.0f %s', first - micros, last - micros, owner))
    elseif key:find('^rustory:holds:') then
      for _, id in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -micros, id) end
    end
    redis.call('PEXPIRE', key, keptMs - ARGV[1] * 1000)
  end
end`;

suiteOfHolds('in one Redis', async (options) => ({
  ...(await openEmpty(options)),
  pass: async (seconds) => void (await redis.command('EVAL', AGE, 0, seconds)),
}));

suiteOfHolds('in a Cluster', async (options) => {
  await Promise.all(cluster.nodes.map((node) => node.command('FLUSHALL')));
  return {
    ...(await open(cluster.url, options)),
    pass: async (seconds) =>
      void (await Promise.all(cluster.nodes.map((node) => node.command('EVAL', AGE, 0, seconds)))),
  };
});

/** The read commands that Redis received during the work. */
async function readsOf(work: () => unknown): Promise<string[]> {
  await redis.command('CONFIG', 'SET', 'slowlog-log-slower-than', 0, 'slowlog-max-len', 10_000);
  await redis.command('SLOWLOG', 'RESET');
  await work();
  const entries = (await redis.command('SLOWLOG', 'GET', 10_000)) as [number, number, number, string[]][];
  await redis.command('CONFIG', 'SET', 'slowlog-log-slower-than', -1);
  return entries
    .map(([, , , words]) => words.slice(0, 3).join(' '))
    .filter((words) => /^(mget|get|zrange) /i.test(words));
}

describe('in one Redis', () => {
  test('a listing of one user reads only what it returns, even with 100,000 peers of other users', async () => {
    const { registry } = await openEmpty({ maxPeers: 200_000 });
    for (let n = 0; n < 10; n += 1) await registry.register(device(`alice${n}`));
    const few = await readsOf(() => registry.list({ userId: 'alice' }));
    // A script in Redis adds a hundred thousand peers of other users, because this test is only about reading.
    await redis.command(
      'EVAL',
      "for n = 1, 100000 do redis.call('ZADD', 'rustory:all', 4e15, 'p' .. n) end",
      0,
    );
    await until(() => registry.live() === 100_010, 'they are counted');
    const many = await readsOf(() => registry.list({ userId: 'alice' }));
    expect(many).toEqual(few);
    expect(many).toHaveLength(2);
  });

  test('in a star, a listing of a user with a hub reads two records in two round trips, of 200 devices', async () => {
    const { registry } = await openEmpty();
    for (let n = 0; n < 200; n += 1) await registry.register(device(`p${n}`));
    await registry.register({ ...device('hub'), isHub: true });
    const reads = await readsOf(() => registry.list({ userId: 'alice', star: { ownPeerId: 'p7' } }));
    expect(reads.filter((words) => /^zrange/i.test(words))).toHaveLength(2);
    expect(reads.filter((words) => /^mget/i.test(words)).toSorted()).toEqual([
      'mget rustory:peer:hub',
      'mget rustory:peer:p7',
    ]);
  });

  test('a record that a tracker without hubs wrote ends the star, and that of a hub is valid JSON for it', async () => {
    const { registry } = await openEmpty();
    await registry.register(device('a'));
    await registry.register({ ...device('hub'), isHub: true });
    await registry.register(device('z', 'bob'));
    await registry.register({ ...device('0', 'bob'), isHub: true });
    const seen = async (query: ListQuery = { userId: 'alice' }): Promise<string> =>
      (await registry.list({ ...query, star: {} })).peers.map(({ peerId }) => peerId).join();
    expect(await seen()).toBe('hub');
    expect(await seen({ limit: 9 })).toBe('0,hub');
    const record = String(await redis.command('GET', 'rustory:peer:hub'));
    const [owner, json = ''] = record.split('\0');
    expect(owner).toBe('=alice');
    expect(JSON.parse(`${json.slice(0, -1)},"last_seen_unix":1}`)).toMatchObject({ peer_id: 'hub' });
    // An earlier version replaces the record without a look at its mark, and leaves the index of hubs.
    await redis.command('SET', 'rustory:peer:hub', record.replace('\0 ', '\0'), 'PX', 60_000);
    expect(await seen()).toBe('hub,a');
    expect(await seen({ limit: 9 })).toBe('0,a,hub');
    expect(await seen({ limit: 9, after: 'a' })).toBe('hub');
    expect(await registry.register(device('hub'))).toEqual({ ok: true });
  });

  test('index entries without a record are not listed, and are removed when they are read', async () => {
    const { registry } = await openEmpty();
    await registry.register(device('kept'));
    const oldUnixMicros = (Date.now() - 5_000) * 1_000;
    for (const key of ['rustory:all', 'rustory:user:alice'])
      await redis.command('ZADD', key, oldUnixMicros, 'vanished');
    expect((await registry.list({ userId: 'alice' })).peers.map(({ peerId }) => peerId)).toEqual(['kept']);
    await until(
      async () => (await redis.command('ZSCORE', 'rustory:user:alice', 'vanished')) === null,
      'the index of the user is repaired',
    );
    await registry.list({});
    await until(async () => (await redis.command('ZCARD', 'rustory:all')) === 1, 'the index is repaired');
  });

  test('an index entry whose record may still arrive is kept', async () => {
    const { registry } = await openEmpty();
    const [seconds] = (await redis.command('TIME')) as string[];
    await redis.command('ZADD', 'rustory:user:alice', Number(seconds) * 1_000_000 + 60_000_000, 'coming');
    await registry.list({ userId: 'alice' });
    await registry.list({ userId: 'alice' });
    expect(await redis.command('ZSCORE', 'rustory:user:alice', 'coming')).not.toBeNull();
  });

  test('Redis is empty one time to live after the last registration', async () => {
    const { registry } = await openEmpty({ ttlSeconds: 1 });
    for (let n = 0; n < 50; n += 1) await registry.register(device(`p${n}`, `user${n}`));
    expect(await redis.command('DBSIZE')).toBeGreaterThan(50);
    await until(async () => (await redis.command('DBSIZE')) === 0, 'Redis is empty');
  });

  test('times are those of the clock of Redis', async () => {
    const { registry } = await openEmpty();
    const [before] = (await redis.command('TIME')) as string[];
    await registry.register(device('p1'));
    const [after] = (await redis.command('TIME')) as string[];
    const seenUnixSeconds = ((await registry.list({})).peers[0]?.seenUnixMicros ?? 0) / 1_000_000;
    expect(seenUnixSeconds).toBeGreaterThanOrEqual(Number(before));
    expect(seenUnixSeconds).toBeLessThanOrEqual(Number(after) + 1);
  });
});

/** A time in microseconds. */
function minutesAgo(minutes: number): string {
  return String((Date.now() - minutes * 60_000) * 1_000);
}

const claimsOfPeer = (deviceId: string) =>
  claimsOf({ ...device('p1'), deviceId, hostname: null }, 1_000)[0] ?? { key: '', claims: [] };

describe('the claims of devices', () => {
  test('are forgotten after some minutes, and limited', async () => {
    const { registry } = await openEmpty();
    const key = `rustory:claims:${claimsOfPeer('mine').key}`;
    const claim = (deviceId: string, first: number, last: number): Promise<unknown> =>
      redis.command(
        'HSET',
        key,
        claimsOfPeer(deviceId).claims[0]?.field ?? '',
        `${minutesAgo(first)}:${minutesAgo(last)}`,
      );
    for (let n = 0; n < 20; n += 1) await claim(`old${n}`, 9, 6);
    for (let n = 0; n < 15; n += 1) await claim(`new${n}`, 9, 4 - n / 100);
    await claim('mine', 8, 7);
    const result = await registry.register({ ...device('p1'), deviceId: 'mine', hostname: null });
    expect(result).toEqual({ ok: true });
    // Above the limit a claim is not stored, and replaces none: otherwise many copies of a device would never alternate.
    expect(await registry.register({ ...device('p1'), deviceId: 'more', hostname: null })).toEqual({
      ok: true,
    });
    const again = await registry.register({ ...device('p1'), deviceId: 'new0', hostname: null });
    expect(again).toMatchObject({ conflicts: [{ kind: 'device_id' }] });
    const stored = (await redis.command('HKEYS', key)) as string[];
    const expected = ['mine', ...Array.from({ length: 15 }, (_, n) => `new${n}`)];
    expect(stored.toSorted()).toEqual(
      expected.map((id) => claimsOfPeer(id).claims[0]?.field ?? '').toSorted(),
    );
    expect(Number(await redis.command('PTTL', key))).toBeLessThanOrEqual(CLAIM_SECONDS * 1_000);
  });

  test('that cannot be stored do not fail a registration', async () => {
    const { registry } = await openEmpty();
    await redis.command('SET', `rustory:claims:${claimsOfPeer('a').key}`, 'not a hash');
    const result = await registry.register({ ...device('p1'), deviceId: 'a', hostname: 'a' });
    expect(result).toEqual({ ok: true });
  });
});

const named = (n: number) => ({
  ...device('p1', `user${n}`),
  deviceId: 'laptop',
  json: JSON.stringify({ peer_id: 'p1', addrs: [], meta: { user_id: `user${n}`, device_id: 'laptop' } }),
});

describe('a peer that changes its user with every registration', () => {
  test.each(['one Redis', 'a Cluster'])('leaves nothing behind in %s', async (where) => {
    const isCluster = where === 'a Cluster';
    const servers = isCluster ? cluster.nodes : [redis];
    await Promise.all(servers.map((server) => server.command('FLUSHALL')));
    const { registry } = await open(isCluster ? cluster.url : redis.url);
    const keys = async (): Promise<string[]> => {
      const found = await Promise.all(servers.map((server) => server.command('KEYS', 'rustory:*')));
      // The sets of the counts are a fixed number, and are written after the registration.
      return (found.flat() as string[]).filter((key) => !key.includes('probe') && !key.includes('\0'));
    };
    await registry.register(named(0));
    const before = (await keys()).length;
    for (let n = 1; n <= 200; n += 1) {
      await registry.register(named(n));
      expect(await registry.list({ userId: `user${n - 1}` })).toEqual({ peers: [] });
    }
    expect(await keys()).toHaveLength(before);
    expect((await registry.list({ userId: 'user200' })).peers).toHaveLength(1);
    for (let n = 0; n < 20; n += 1) await registry.register(named(n % 2));
    expect((await registry.list({ userId: 'user1' })).peers).toHaveLength(1);
    expect(await keys()).toHaveLength(before);
  });
});

describe('in a Cluster', () => {
  test('records are distributed over all nodes', async () => {
    await Promise.all(cluster.nodes.map((node) => node.command('FLUSHALL')));
    const { registry } = await open(cluster.url);
    await Promise.all(
      Array.from({ length: 100 }, async (_, n) => registry.register(device(`p${n}`, `user${n}`))),
    );
    const sizes = await Promise.all(cluster.nodes.map((node) => node.command('DBSIZE')));
    for (const size of sizes) expect(size).toBeGreaterThan(20);
  });

  test('slots that move to another node are found, also when other commands of the same moment succeed', async () => {
    const own = await startCluster();
    onCleanup(() => own.stop());
    const { registry } = await open(own.url);
    const [source, target, other] = own.nodes;
    if (source === undefined || target === undefined || other === undefined) throw new Error('3 nodes');
    const id = String(await target.command('CLUSTER', 'MYID'));
    const names = Array.from({ length: 60 }, (_, n) => `p${n}`);
    const slots = names.map((name) => slotOf(peerKey(name))).filter((slot) => slot <= 5_460);
    for (const slot of slots.slice(0, slots.length / 2))
      for (const node of [target, source, other]) await node.command('CLUSTER', 'SETSLOT', slot, 'NODE', id);
    await until(async () => {
      const calls = names.map(async (name) => registry.register(device(name, 'alice')));
      return (await Promise.allSettled(calls)).every(({ status }) => status === 'fulfilled');
    }, 'all devices are registered');
  });
});
