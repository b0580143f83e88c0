import { describe, expect, test } from '@jest/globals';
import { createMemoryRegistry } from './memory-registry.ts';
import { device, suiteOfRegistry } from './registry.suite.ts';

suiteOfRegistry('the memory registry', async (options) => {
  const registry = createMemoryRegistry({ ...options, now: Date.now });
  await registry.start();
  return { registry, replica: registry, close: () => registry.stop() };
});

describe('the clock of the memory registry', () => {
  let now = 1_000_000;
  const registry = createMemoryRegistry({ ttlSeconds: 60, maxPeers: 10, now: () => now });
  const listed = async (): Promise<string[]> => (await registry.list({})).peers.map(({ peerId }) => peerId);

  test('keeps a peer to the end of its time to live and no longer', async () => {
    await registry.register(device('p1'));
    now += 59_999;
    expect(await listed()).toEqual(['p1']);
    now += 1;
    expect(await listed()).toEqual([]);
  });

  test('keeps the newest first also when it steps back', async () => {
    await registry.register(device('p1'));
    now -= 5_000;
    await registry.register(device('p2'));
    expect(await listed()).toEqual(['p2', 'p1']);
  });
});
