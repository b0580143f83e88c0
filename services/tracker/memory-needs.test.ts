import { expect, test } from '@jest/globals';
import { testConfig } from '../../testing/tracker-app.ts';
import { memoryNeeds } from './memory-needs.ts';
import { parseRedisUrl } from './registry/redis-url.ts';

const inMemory = testConfig();
const inRedis = { ...inMemory, redis: parseRedisUrl('redis://localhost') };

test('peers need memory with the memory registry', () => {
  expect(memoryNeeds(inMemory)).toMatchObject({ keptListings: 0, waitingCalls: 0 });
  const { peers = 0 } = memoryNeeds(inMemory);
  const limits = { ...inMemory.limits, peers: 2 * inMemory.limits.peers };
  expect(memoryNeeds({ ...inMemory, limits })).toMatchObject({ peers: 2 * peers });
});

test('listings and waiting calls need memory with Redis', () => {
  const { keptListings, waitingCalls, peers } = memoryNeeds(inRedis);
  expect(keptListings).toBeGreaterThan(0);
  expect(waitingCalls).toBeGreaterThan(0);
  expect(peers).toBe(0);
  expect(memoryNeeds({ ...inRedis, staleSeconds: 0 })).toMatchObject({ keptListings: 0 });
});
