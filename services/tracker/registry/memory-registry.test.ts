import { describe, expect, test } from '@jest/globals';
import { createMemoryRegistry } from './memory-registry.ts';
import { suiteOfHolds } from './holds.suite.ts';
import { device, suiteOfRegistry } from './registry.suite.ts';

suiteOfRegistry('the memory registry', async (options) => {
  const registry = createMemoryRegistry({ ...options, nowUnixMs: Date.now });
  await registry.start();
  return { registry, replica: registry, close: () => registry.stop() };
});

suiteOfHolds('in the memory registry', async (options) => {
  let unixMs = 1_000_000_000_000;
  const registry = createMemoryRegistry({ ...options, nowUnixMs: () => unixMs });
  const pass = async (seconds: number): Promise<void> => void (unixMs += seconds * 1_000);
  return { registry, replica: registry, close: () => registry.stop(), pass };
});

describe('the clock of the memory registry', () => {
  let unixMs = 1_000_000;
  const registry = createMemoryRegistry({ ttlSeconds: 60, maxPeers: 10, nowUnixMs: () => unixMs });
  const listed = async (): Promise<string[]> => (await registry.list({})).peers.map(({ peerId }) => peerId);

  test('lists a peer exactly until the end of its time to live', async () => {
    await registry.register(device('p1'));
    unixMs += 59_999;
    expect(await listed()).toEqual(['p1']);
    unixMs += 1;
    expect(await listed()).toEqual([]);
  });

  test('may be set back without changing the order of registrations', async () => {
    await registry.register(device('p1'));
    unixMs -= 5_000;
    await registry.register(device('p2'));
    expect(await listed()).toEqual(['p2', 'p1']);
  });
});
