// The permissions and the version that the registry requires of Redis.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import type { RedisProcess } from '../../../testing/redis.ts';
import { until } from '../../../testing/wait.ts';
import { open, outcomes, startServer } from './redis-health.suite.ts';

afterEach(cleanUp);

/** The permissions in docs/decisions/tracker-registry-in-redis.md. */
const COMMANDS = (
  'set get mget getdel del pexpire zadd zrem zrange zscore zcard zcount zremrangebyrank zremrangebyscore ' +
  'zrevrangebyscore hset hdel hgetall time eval evalsha script|load script|exists'
).split(' ');
const PATTERNS = ['all', 'user:*', 'peer:*', 'hold:*', 'holds:*', 'claims:*', 'conflicts'];

/** Without these, conflicts of identities are not found, and everything else works. */
const OF_CLAIMS = new Set([
  'hset',
  'hdel',
  'hgetall',
  'zrevrangebyscore',
  'zremrangebyscore',
  'claims:*',
  'conflicts',
]);

const setUser = (redis: RedisProcess, commands: readonly string[], patterns: readonly string[]) => {
  const rules = [...patterns.map((each) => `~rustory:${each}`), ...commands.map((each) => `+${each}`)];
  return redis.command('ACL', 'SETUSER', 'tracker', 'reset', 'on', '>secret', ...rules);
};
const urlOf = (redis: RedisProcess): string => `redis://tracker:secret@127.0.0.1:${redis.port}`;

describe('the ACL of the user', () => {
  test('needs no other permission than the documented ones', async () => {
    const redis = await startServer();
    await setUser(redis, COMMANDS, PATTERNS);
    const opened = await open(urlOf(redis));
    expect(opened.registry.problem()).toBeUndefined();
    expect(await outcomes(opened)).toEqual({ writes: true, reads: true });
    expect(await opened.registry.unregister('p1')).toBe(true);
    expect(await opened.registry.conflicts()).toEqual([]);
    expect(opened.errors).toEqual([]);
  });

  // Of EVAL, EVALSHA and SCRIPT, ioredis uses what is allowed.
  const required = [...COMMANDS, ...PATTERNS].filter(
    (each) => !OF_CLAIMS.has(each) && !/^(?:eval|script)/.test(each),
  );
  test.each(required)('is reported when it lacks %s', async (missing) => {
    const redis = await startServer();
    const allBut = (list: readonly string[]): string[] => list.filter((each) => each !== missing);
    await setUser(redis, allBut(COMMANDS), allBut(PATTERNS));
    const opened = await open(urlOf(redis));
    expect(opened.reason()).toBe('permission');
    expect(await outcomes(opened)).toEqual({ writes: false, reads: false });
    await setUser(redis, COMMANDS, PATTERNS);
    await until(() => opened.registry.problem() === undefined, 'the registry recovers');
  });

  test('is checked again while the tracker runs', async () => {
    const redis = await startServer();
    await setUser(redis, COMMANDS, PATTERNS);
    const opened = await open(urlOf(redis));
    expect(opened.registry.problem()).toBeUndefined();
    await setUser(
      redis,
      COMMANDS,
      PATTERNS.filter((each) => each !== 'holds:*'),
    );
    await until(() => opened.reason() === 'permission', 'the missing pattern is reported');
  });

  test.each([...OF_CLAIMS])(
    'allows registrations without %s, which finds conflicts of identities',
    async (missing) => {
      const redis = await startServer();
      const allBut = (list: readonly string[]): string[] => list.filter((each) => each !== missing);
      await setUser(redis, allBut(COMMANDS), allBut(PATTERNS));
      const opened = await open(urlOf(redis));
      expect(opened.registry.problem()).toBeUndefined();
      expect(await outcomes(opened)).toEqual({ writes: true, reads: true });
    },
  );
});

/** Forwards to Redis, and replaces the version in its replies. */
async function withVersion(redis: RedisProcess, version: string): Promise<string> {
  const server = createServer((socket) => {
    const upstream = connect(redis.port, '127.0.0.1');
    socket.on('error', () => {}).on('close', () => upstream.destroy());
    upstream.on('error', () => {}).on('close', () => socket.destroy());
    socket.pipe(upstream);
    upstream.on('data', (data: Buffer) =>
      socket.write(
        data.toString('latin1').replace(/redis_version:\d+\.\d+\.\d+/, `redis_version:${version}`),
        'latin1',
      ),
    );
    onCleanup(() => socket.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onCleanup(() => void server.close());
  return `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('the version', () => {
  test.each([
    ['6.0.16', 'version'],
    ['6.1.99', 'version'],
    ['6.2.00', undefined],
    ['7.2.11', undefined],
    ['10.0.0', undefined],
  ])('%s: %s', async (version, expected) => {
    const opened = await open(await withVersion(await startServer(), version));
    expect(opened.reason()).toBe(expected);
    if (expected === undefined) return;
    expect(opened.registry.problem()).toContain(version);
    expect(await outcomes(opened)).toEqual({ writes: false, reads: false });
  });
});
