// Creates the configured registry: in the memory of this process, or in Redis with stale listings.
import { monotonicMs } from '../../shared/clock.ts';
import type { Logger } from '../../shared/log.ts';
import type { TrackerConfig } from '../config.ts';
import type { TrackerMetrics } from '../metrics.ts';
import { createMemoryRegistry } from './memory-registry.ts';
import type { Registry } from './registry.ts';
import { withStaleListings } from './stale-listings.ts';

/**
 * Loads the client of Redis only for a registry that needs it: its code and its tables of commands use megabytes.
 *
 * @param metrics receive probes of Redis and errors of its commands
 */
export async function createRegistry(
  { redis, rereadRedis, ttlSeconds, staleSeconds, limits }: TrackerConfig,
  log: Logger,
  { redisProbe: onProbe, redisError: onError }: Pick<TrackerMetrics, 'redisProbe' | 'redisError'>,
): Promise<Registry> {
  const options = { ttlSeconds, maxPeers: limits.peers };
  if (redis === undefined)
    return createMemoryRegistry({ ...options, nowUnixMs: Date.now, nowMs: monotonicMs });
  const { createRedisRegistry } = await import('./redis-registry.ts');
  const registry = createRedisRegistry(() => rereadRedis() ?? redis, { ...options, log, onProbe, onError });
  return withStaleListings(registry, { staleSeconds, nowMs: monotonicMs });
}
