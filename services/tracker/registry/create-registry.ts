// Creates the configured registry: in the memory of this process, or in Redis with stale listings.
import { monotonicMs } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { TrackerConfig } from '../config.ts';
import { createMemoryRegistry } from './memory-registry.ts';
import { createRedisRegistry } from './redis-registry.ts';
import type { Registry } from './registry.ts';
import { withStaleListings } from './stale-listings.ts';

/** @param onProbe receives the duration of each probe of Redis in seconds, or `undefined` when it failed */
export function createRegistry(
  { redis, ttlSeconds, staleSeconds, limits }: TrackerConfig,
  log: Logger,
  onProbe: (seconds: number | undefined) => void,
): Registry {
  const options = { ttlSeconds, maxPeers: limits.peers };
  if (redis === undefined) return createMemoryRegistry({ ...options, nowUnixMs: Date.now });
  const registry = createRedisRegistry(redis, { ...options, log, onProbe });
  return withStaleListings(registry, { staleSeconds, nowMs: monotonicMs });
}
