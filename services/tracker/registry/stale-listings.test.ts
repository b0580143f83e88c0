import { describe, expect, test } from '@jest/globals';
import { device } from '../../../testing/tracker-registrations.ts';
import { createMemoryRegistry } from './memory-registry.ts';
import { withStaleListings } from './stale-listings.ts';
import { suiteOfRegistry } from './registry.suite.ts';
import { type Eventual, type Registry, RegistryUnavailableError } from './registry.ts';

suiteOfRegistry('a registry with stale listings', async (options) => {
  const memory = createMemoryRegistry({ ...options, nowUnixMs: Date.now, nowMs: Date.now });
  const registry = withStaleListings(memory, { staleSeconds: 60, nowMs: Date.now });
  return { registry, replica: registry, close: () => registry.stop() };
});

/** A registry that the test makes unavailable. */
function createSwitchable(): { registry: Registry; setAvailable(isAvailable: boolean): void } {
  const memory = createMemoryRegistry({
    ttlSeconds: 60,
    maxPeers: 100_000,
    nowUnixMs: Date.now,
    nowMs: Date.now,
  });
  let isAvailable = true;
  const whenAvailable = async <T>(work: () => Eventual<T>): Promise<T> =>
    isAvailable ? work() : Promise.reject(new RegistryUnavailableError('unavailable'));
  return {
    setAvailable: (value) => void (isAvailable = value),
    registry: {
      ...memory,
      register: (...given) => whenAvailable(() => memory.register(...given)),
      list: (query) => whenAvailable(() => memory.list(query)),
    },
  };
}

describe('while the registry is unavailable', () => {
  let ms = 0;
  const { registry, setAvailable } = createSwitchable();
  const subject = withStaleListings(registry, { staleSeconds: 60, nowMs: () => ms });

  test('the last listing of each scope is returned with its age, and others are refused', async () => {
    await subject.register(device('a', 'alice'));
    await subject.register(device('b', 'bob'));
    expect((await subject.list({ userId: 'alice' })).staleForSeconds).toBeUndefined();
    await subject.list({});
    setAvailable(false);
    ms += 59_000;
    expect(await subject.list({ userId: 'alice' })).toMatchObject({
      peers: [{ peerId: 'a' }],
      staleForSeconds: 59,
    });
    expect((await subject.list({})).peers).toHaveLength(2);
    await expect(subject.list({ userId: 'bob' })).rejects.toThrow(RegistryUnavailableError);
    await expect(subject.list({ limit: 1 })).rejects.toThrow(RegistryUnavailableError);
  });

  test('a device gets the hub and its own record, and not that of another device', async () => {
    setAvailable(true);
    const now = ms;
    for (const id of ['d1', 'd2']) await subject.register(device(id, 'dora'));
    await subject.register({ ...device('hub', 'dora'), isHub: true });
    const seen = async (ownPeerId: string): Promise<string> => {
      const { peers } = await subject.list({ userId: 'dora', star: { ownPeerId } });
      return peers.map(({ peerId }) => peerId).join();
    };
    expect([await seen('d1'), await seen('d2')]).toEqual(['hub,d1', 'hub,d2']);
    expect((await subject.list({ userId: 'dora' })).peers).toHaveLength(3);
    setAvailable(false);
    expect([await seen('d1'), await seen('d2'), await seen('d3')]).toEqual(['hub,d1', 'hub,d2', 'hub']);
    expect((await subject.list({ userId: 'dora' })).peers).toHaveLength(3);
    ms = now;
  });

  test('a registration is refused', async () => {
    await expect(subject.register(device('a', 'alice'))).rejects.toThrow(RegistryUnavailableError);
  });

  test('a listing that is too old is refused, and current again when the registry is available', async () => {
    ms += 2_000;
    await expect(subject.list({ userId: 'alice' })).rejects.toThrow(RegistryUnavailableError);
    setAvailable(true);
    expect((await subject.list({ userId: 'alice' })).staleForSeconds).toBeUndefined();
  });

  test('a limited number of bytes is cached, and the oldest listings are evicted', async () => {
    const long = 'x'.repeat(50_000);
    const register = async (count: number, userId: string): Promise<void> => {
      for (let n = 0; n < count; n += 1)
        await subject.register({ ...device(`${userId}${n}`, userId), json: JSON.stringify({ long, n }) });
    };
    await register(200, 'user0');
    await subject.list({ userId: 'user0' });
    setAvailable(false);
    await expect(subject.list({ userId: 'user0' })).resolves.toBeDefined();
    setAvailable(true);
    await register(400, 'carol');
    await subject.list({ userId: 'carol' });
    setAvailable(false);
    await expect(subject.list({ userId: 'user0' })).rejects.toThrow(RegistryUnavailableError);
    expect((await subject.list({ userId: 'carol' })).peers).toHaveLength(400);
  });

  test('empty listings of many users are evicted too', async () => {
    setAvailable(true);
    for (let n = 0; n < 100_000; n += 1) await subject.list({ userId: `${n}`.padEnd(256, 'x') });
    setAvailable(false);
    await expect(subject.list({ userId: '0'.padEnd(256, 'x') })).rejects.toThrow(RegistryUnavailableError);
    await expect(subject.list({ userId: '99999'.padEnd(256, 'x') })).resolves.toBeDefined();
  });
});
