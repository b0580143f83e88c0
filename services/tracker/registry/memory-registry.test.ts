import { describe, expect, test } from '@jest/globals';
import { device } from '../../../testing/tracker-registrations.ts';
import { createMemoryRegistry, MAX_HOLDS_PER_PEER } from './memory-registry.ts';
import { suiteOfHolds } from './holds.suite.ts';
import { suiteOfRegistry } from './registry.suite.ts';

suiteOfRegistry('the memory registry', async (options) => {
  const registry = createMemoryRegistry({ ...options, nowUnixMs: Date.now, nowMs: Date.now });
  await registry.start();
  return { registry, replica: registry, close: () => registry.stop() };
});

suiteOfHolds('in the memory registry', async (options) => {
  let unixMs = 1_000_000_000_000;
  const registry = createMemoryRegistry({ ...options, nowUnixMs: () => unixMs, nowMs: () => unixMs });
  const pass = async (seconds: number): Promise<void> => void (unixMs += seconds * 1_000);
  return { registry, replica: registry, close: () => registry.stop(), pass };
});

test('holds of the memory registry that ended are replaced by those of other users', async () => {
  let ms = 0;
  const registry = createMemoryRegistry({
    ttlSeconds: 60,
    maxPeers: 10,
    nowUnixMs: () => ms,
    nowMs: () => ms,
  });
  for (let n = 0; n < 10 * MAX_HOLDS_PER_PEER; n += 1) {
    await registry.register(device(`short${n}`, 'alice'), 'alice');
    ms += 60_000;
  }
  for (let day = 0; day < 3; day += 1) {
    ms += 86_400_000;
    await registry.register(device('p1', 'bob'), 'bob');
  }
  ms += 60_000;
  expect(await registry.register(device('p1', 'alice'), 'alice')).toEqual({ ok: false, reason: 'held' });
});

describe('the clocks of the memory registry', () => {
  let unixMs = 1_790_000_000_000;
  let ms = 0;
  const options = { ttlSeconds: 60, maxPeers: 10, nowUnixMs: () => unixMs, nowMs: () => ms };
  const registry = createMemoryRegistry(options);
  const listed = async (): Promise<string[]> => (await registry.list({})).peers.map(({ peerId }) => peerId);

  test('list a peer exactly until the end of its time to live', async () => {
    await registry.register(device('p1'));
    ms += 59_999;
    expect(await listed()).toEqual(['p1']);
    ms += 1;
    expect(await listed()).toEqual([]);
    expect(registry.live()).toBe(0);
  });

  test.each([
    ['ahead', 86_400_000],
    ['back', -86_400_000],
    ['to 1970', -1_790_000_000_000],
  ])(
    'expire registrations after their time also when the clock of the machine is set %s',
    async (_, jumpMs) => {
      await registry.register(device('p1'));
      unixMs += jumpMs;
      ms += 30_000;
      await registry.register(device('p2'));
      expect(await listed()).toEqual(['p2', 'p1']);
      const [p2] = (await registry.list({})).peers;
      expect(p2?.seenUnixMicros).toBe(unixMs * 1_000);
      ms += 30_000;
      expect(await listed()).toEqual(['p2']);
      ms += 30_000;
      expect(await listed()).toEqual([]);
      unixMs = 1_790_000_000_000;
    },
  );
});
