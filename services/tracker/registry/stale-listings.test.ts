import { describe, expect, test } from '@jest/globals';
import { createMemoryRegistry } from './memory-registry.ts';
import { withStaleListings } from './stale-listings.ts';
import { device, suiteOfRegistry } from './registry.suite.ts';
import { type Registry, RegistryUnavailableError } from './registry.ts';

suiteOfRegistry('a registry with stale listings', async (options) => {
  const memory = createMemoryRegistry({ ...options, now: Date.now });
  const registry = withStaleListings(memory, { staleSeconds: 60, now: Date.now });
  return { registry, replica: registry, close: () => registry.stop() };
});

/** A registry that can go away. */
function leaving(): { registry: Registry; setAway(away: boolean): void } {
  const memory = createMemoryRegistry({ ttlSeconds: 60, maxPeers: 100_000, now: Date.now });
  let away = false;
  const answer = <T>(work: () => Promise<T>): Promise<T> =>
    away ? Promise.reject(new RegistryUnavailableError('away')) : work();
  return {
    setAway: (value) => void (away = value),
    registry: {
      ...memory,
      register: (...given) => answer(() => memory.register(...given)),
      list: (query) => answer(() => memory.list(query)),
    },
  };
}

describe('while the registry is away', () => {
  let now = 0;
  const { registry, setAway } = leaving();
  const subject = withStaleListings(registry, { staleSeconds: 60, now: () => now });

  test('the last listing of each scope is shown with its age, and others are refused', async () => {
    await subject.register(device('a', 'alice'));
    await subject.register(device('b', 'bob'));
    expect((await subject.list({ userId: 'alice' })).staleForSeconds).toBeUndefined();
    await subject.list({});
    setAway(true);
    now += 59_000;
    expect(await subject.list({ userId: 'alice' })).toMatchObject({
      peers: [{ peerId: 'a' }],
      staleForSeconds: 59,
    });
    expect((await subject.list({})).peers).toHaveLength(2);
    await expect(subject.list({ userId: 'bob' })).rejects.toThrow(RegistryUnavailableError);
    await expect(subject.list({ limit: 1 })).rejects.toThrow(RegistryUnavailableError);
  });

  test('a registration is refused, never promised', async () => {
    await expect(subject.register(device('a', 'alice'))).rejects.toThrow(RegistryUnavailableError);
  });

  test('a listing that is too old is refused, and made anew when the registry is back', async () => {
    now += 2_000;
    await expect(subject.list({ userId: 'alice' })).rejects.toThrow(RegistryUnavailableError);
    setAway(false);
    expect((await subject.list({ userId: 'alice' })).staleForSeconds).toBeUndefined();
  });

  test('no more than a bounded number of peers is kept, those asked for longest ago forgotten first', async () => {
    for (let n = 0; n < 20_000; n += 1) await subject.register(device(`p${n}`, `user${n % 2}`));
    for (const userId of ['user0', 'user1', 'alice', undefined, 'user1']) await subject.list({ userId });
    setAway(true);
    await expect(subject.list({ userId: 'user0' })).resolves.toBeDefined();
    setAway(false);
    for (let n = 20_000; n < 45_000; n += 1) await subject.register(device(`p${n}`, 'carol'));
    await subject.list({ userId: 'carol' });
    setAway(true);
    await expect(subject.list({ userId: 'user0' })).rejects.toThrow(RegistryUnavailableError);
    expect((await subject.list({ userId: 'carol' })).peers).toHaveLength(25_000);
  });
});
