import dns from 'node:dns';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { freePort, type RedisProcess, startRedis } from '../../../testing/redis.ts';
import { until } from '../../../testing/wait.ts';
import { device } from '../../../testing/tracker-registrations.ts';
import { createLogger } from '../../shared/log.ts';
import { createRedisRegistry } from './redis-registry.ts';
import { parseRedisUrl } from './redis-url.ts';
import { type RemoteRegistry, RegistryUnavailableError } from './registry.ts';

afterEach(cleanUp);

async function startRedisOn(port?: number): Promise<RedisProcess> {
  const redis = await startRedis([], port);
  onCleanup(() => redis.stop());
  return redis;
}

async function openRegistry(url: string): Promise<RemoteRegistry> {
  const log = createLogger('test', 'silent');
  const registry = createRedisRegistry(parseRedisUrl(url), { ttlSeconds: 60, maxPeers: 100, log });
  onCleanup(() => registry.stop());
  await registry.start();
  return registry;
}

interface RedisProxy {
  readonly url: string;
  /** The data that the registry sent, in the order of arrival. */
  readonly sent: readonly string[];
  /** Drops all data from now on, without closing a connection. */
  cut(): void;
  /** Forwards the replies of Redis in small chunks with delays from now on. */
  slowDown(): void;
}

/** Size of a chunk of a slow reply in bytes, and the delay before it in milliseconds. */
const PIECE_BYTES = 256;
const PIECE_PAUSE_MS = 50;

async function forwardSlowly(data: Buffer, socket: Socket): Promise<void> {
  for (let start = 0; start < data.length && !socket.destroyed; start += PIECE_BYTES) {
    await pause(PIECE_PAUSE_MS);
    if (socket.writable) socket.write(data.subarray(start, start + PIECE_BYTES));
  }
}

async function startProxy(port: number): Promise<RedisProxy> {
  const sent: string[] = [];
  const sockets: Socket[] = [];
  let isCut = false;
  let isSlow = false;
  const server = createServer((socket) => {
    const redis = connect(port, '127.0.0.1');
    sockets.push(socket, redis);
    socket.on('error', () => {}).on('close', () => redis.destroy());
    redis.on('error', () => {}).on('close', () => socket.destroy());
    socket.on('data', (data) => {
      sent.push(data.toString());
      if (!isCut) redis.write(data);
    });
    let forwarded: Promise<unknown> = Promise.resolve();
    redis.on('data', (data: Buffer) => {
      if (isSlow) forwarded = forwarded.then(() => forwardSlowly(data, socket));
      else if (!isCut) socket.write(data);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onCleanup(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const bound = server.address() as AddressInfo;
  return {
    url: `redis://127.0.0.1:${bound.port}`,
    sent,
    cut: () => void (isCut = true),
    slowDown: () => void (isSlow = true),
  };
}

describe('a registry', () => {
  test('refuses calls immediately with the reason after Redis crashed, and recovers when Redis is restarted', async () => {
    const redis = await startRedisOn();
    const registry = await openRegistry(redis.url);
    await registry.register(device('p1'));
    await redis.stop();
    await until(() => registry.problem() !== undefined, 'the registry reports the problem');
    for (const call of [registry.register(device('p1')), registry.unregister('p1'), registry.list({})])
      await expect(call).rejects.toThrow(RegistryUnavailableError);
    await startRedisOn(redis.port);
    await until(() => registry.problem() === undefined, 'the registry recovers');
    expect(await registry.register(device('p1'))).toEqual({ ok: true });
    expect((await registry.list({ userId: 'alice' })).peers).toHaveLength(1);
  });

  test('reconnects when the connection seems open but transfers no data', async () => {
    const proxy = await startProxy((await startRedisOn()).port);
    const registry = await openRegistry(proxy.url);
    expect(registry.problem()).toBeUndefined();
    proxy.cut();
    await until(() => registry.problem()?.includes('sent no data') === true, 'the registry reports it');
    const handshakes = (): number => proxy.sent.filter((text) => /hello|info/i.test(text)).length;
    const before = handshakes();
    await until(() => handshakes() > before, 'it reconnects');
  });

  test('accepts a reply that takes longer than the deadline while its bytes keep arriving', async () => {
    const proxy = await startProxy((await startRedisOn()).port);
    const registry = await openRegistry(proxy.url);
    await Promise.all(Array.from({ length: 100 }, (_, n) => registry.register(device(`p${n}`))));
    proxy.slowDown();
    // The records have about 7 KB, which are 28 chunks and 1.4 seconds.
    expect((await registry.list({ userId: 'alice' })).peers).toHaveLength(100);
    expect(registry.problem()).toBeUndefined();
  });

  test('starts without Redis, and recovers when Redis starts', async () => {
    const port = await freePort();
    const registry = await openRegistry(`redis://127.0.0.1:${port}`);
    expect(registry.problem()).toBeDefined();
    await expect(registry.list({})).rejects.toThrow(RegistryUnavailableError);
    await startRedisOn(port);
    await until(() => registry.problem() === undefined, 'the registry recovers');
  });

  test('reports that Redis refuses the password, without repeating the password', async () => {
    const redis = await startRedisOn();
    await redis.command('CONFIG', 'SET', 'requirepass', 'right');
    const registry = await openRegistry(`redis://:wrong-password@127.0.0.1:${redis.port}`);
    expect(registry.problem()).toContain('WRONGPASS');
    expect(registry.problem()).not.toContain('wrong-password');
  });

  test('needs one round trip for a registration and one for a listing', async () => {
    const proxy = await startProxy((await startRedisOn()).port);
    const registry = await openRegistry(proxy.url);
    const countRoundTrips = async (work: () => Promise<unknown>): Promise<number> => {
      const before = proxy.sent.length;
      await work();
      const sent = proxy.sent.slice(before);
      return sent.filter((text) => /peer-under-test|rustory:user:alice/.test(text)).length;
    };
    for (const _ of [1, 2])
      expect(await countRoundTrips(() => registry.register(device('peer-under-test')))).toBe(1);
    for (let n = 0; n < 50; n += 1) await registry.register(device(`peer-under-test-${n}`));
    expect(await countRoundTrips(() => registry.list({ userId: 'alice' }))).toBe(1);
  });
});

test('each new connection resolves the name of Redis again', async () => {
  const [first, second] = await Promise.all([startRedisOn(), startRedisOn()]);
  // A proxy at another loopback address is what the name leads to after its record was changed.
  const moved = createServer((socket) => {
    const redis = connect(second.port, '127.0.0.1');
    socket.on('error', () => {}).on('close', () => redis.destroy());
    redis.on('error', () => {}).on('close', () => socket.destroy());
    socket.pipe(redis).pipe(socket);
    onCleanup(() => void socket.destroy());
  }).listen(first.port, '127.0.0.2');
  await once(moved, 'listening');
  onCleanup(() => void moved.close());
  let address = '127.0.0.1';
  const original = dns.lookup;
  onCleanup(() => void (dns.lookup = original));
  dns.lookup = ((name: string, options: dns.LookupAllOptions, callback: (...found: unknown[]) => void) => {
    if (name !== 'redis.example') return original(name, options, callback);
    return options.all ? callback(null, [{ address, family: 4 }]) : callback(null, address, 4);
  }) as typeof dns.lookup;
  const registry = await openRegistry(`redis://redis.example:${first.port}`);
  expect(registry.problem()).toBeUndefined();
  address = '127.0.0.2';
  await first.stop();
  const isStored = async (): Promise<boolean> => {
    await registry.register(device('p1')).catch(() => {});
    return (await second.command('EXISTS', 'rustory:peer:p1')) === 1;
  };
  await until(isStored, 'the registry uses the second server');
});
