import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { createLogger } from '../../shared/log.ts';
import { until } from '../../../testing/wait.ts';
import { freePort, type RedisProcess, startRedis } from '../../../testing/redis.ts';
import { parseRedisUrl } from './redis-url.ts';
import { createRedisRegistry } from './redis-registry.ts';
import { device } from './registry.suite.ts';
import { type Registry, RegistryUnavailableError } from './registry.ts';

const log = createLogger('test', 'silent');
const stops: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

async function redisOn(port?: number): Promise<RedisProcess> {
  const redis = await startRedis([], port);
  stops.push(() => redis.stop());
  return redis;
}

async function registryAt(port: number, onProbe?: (seconds: number | undefined) => void): Promise<Registry> {
  const options = { ttlSeconds: 60, maxPeers: 100, log, ...(onProbe === undefined ? {} : { onProbe }) };
  const registry = createRedisRegistry(parseRedisUrl(`redis://127.0.0.1:${port}`), options);
  stops.push(() => registry.stop());
  await registry.start();
  return registry;
}

/** A way to Redis that can be cut without closing it, and that keeps what the registry sends. */
async function wayTo(port: number): Promise<{ port: number; sent: string[]; cut(): void }> {
  const sent: string[] = [];
  const sockets: Socket[] = [];
  let isCut = false;
  const server: Server = createServer((socket) => {
    const redis = connect(port, '127.0.0.1');
    sockets.push(socket, redis);
    socket.on('error', () => {}).on('close', () => redis.destroy());
    redis.on('error', () => {}).on('close', () => socket.destroy());
    socket.on('data', (data) => {
      sent.push(data.toString());
      if (!isCut) redis.write(data);
    });
    redis.on('data', (data) => {
      if (!isCut) socket.write(data);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  stops.push(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sent, cut: () => void (isCut = true) };
}

describe('a registry whose Redis', () => {
  test('died refuses at once and says why, and is back with what it says soon after Redis is', async () => {
    const redis = await redisOn();
    const registry = await registryAt(redis.port);
    await registry.register(device('p1'));
    await redis.stop();
    await until(() => registry.problem() !== undefined, 'the registry knows');
    for (const call of [registry.register(device('p1')), registry.unregister('p1'), registry.list({})])
      await expect(call).rejects.toThrow(RegistryUnavailableError);
    await redisOn(redis.port);
    await until(() => registry.problem() === undefined, 'the registry is back', 1_000);
    expect(await registry.register(device('p1'))).toBe('registered');
    expect((await registry.list({ userId: 'alice' })).peers).toHaveLength(1);
  });

  test('answered in time is heard, although this process was held up past the deadline', async () => {
    const registry = await registryAt((await redisOn()).port);
    const answer = registry.unregister('p1');
    // Commands are sent together in a later turn of the event loop.
    for (let turn = 0; turn < 3; turn += 1) await nextTurn();
    const heldUpUntil = performance.now() + 600;
    while (performance.now() < heldUpUntil);
    expect(await answer).toBe(false);
  });

  test('is frozen answers no later than its deadline, and is back when Redis thaws', async () => {
    const redis = await redisOn();
    const probes: (number | undefined)[] = [];
    const registry = await registryAt(redis.port, (seconds) => probes.push(seconds));
    redis.process.kill('SIGSTOP');
    const calls = await Promise.allSettled(
      Array.from({ length: 500 }, (_, n) => registry.register(device(`p${n}`))),
    );
    for (const { status } of calls) expect(status).toBe('rejected');
    await until(() => registry.problem() !== undefined, 'the registry knows');
    expect(probes).toContain(undefined);
    redis.process.kill('SIGCONT');
    await until(() => registry.problem() === undefined, 'the registry is back', 2_000);
    expect(await registry.register(device('p1'))).toBe('registered');
  });

  test('cannot be reached although the connection looks open is reached over a new one', async () => {
    const redis = await redisOn();
    const way = await wayTo(redis.port);
    const registry = await registryAt(way.port);
    expect(registry.problem()).toBeUndefined();
    way.cut();
    await until(() => registry.problem()?.includes('no answer within') === true, 'the registry knows');
    const connections = (): number => way.sent.filter((text) => /hello|info/i.test(text)).length;
    const before = connections();
    await until(() => connections() > before, 'it connects again');
  });

  test('is not there yet starts, and heals when Redis comes', async () => {
    const port = await freePort();
    const registry = await registryAt(port);
    expect(registry.problem()).toBeDefined();
    await expect(registry.list({})).rejects.toThrow(RegistryUnavailableError);
    await redisOn(port);
    await until(() => registry.problem() === undefined, 'the registry is there', 2_000);
  });

  test('refuses its password says so, and never the password', async () => {
    const redis = await redisOn();
    await redis.command('CONFIG', 'SET', 'requirepass', 'right');
    const registry = createRedisRegistry(parseRedisUrl(`redis://:wrong-password@127.0.0.1:${redis.port}`), {
      ttlSeconds: 60,
      maxPeers: 1,
      log,
    });
    stops.push(() => registry.stop());
    await registry.start();
    expect(registry.problem()).toContain('WRONGPASS');
    expect(registry.problem()).not.toContain('wrong-password');
  });
});

describe('the round trips of a registry', () => {
  test('are one for a registration and two for a listing', async () => {
    const redis = await redisOn();
    const way = await wayTo(redis.port);
    const registry = await registryAt(way.port);
    const turns = async (work: () => Promise<unknown>): Promise<number> => {
      const before = way.sent.length;
      await work();
      return way.sent.slice(before).filter((text) => /peer-under-test|rustory:user:alice/.test(text)).length;
    };
    for (const _ of [1, 2]) expect(await turns(() => registry.register(device('peer-under-test')))).toBe(1);
    for (let n = 0; n < 50; n += 1) await registry.register(device(`peer-under-test-${n}`));
    expect(await turns(() => registry.list({ userId: 'alice' }))).toBe(2);
  });
});
