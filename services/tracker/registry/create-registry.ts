// Which registry a configuration asks for: one in this process, or one in Redis whose listings outlive it for a while.
import type { Logger } from '../../shared/log.ts';
import type { RedisAddress } from './redis-url.ts';
import { createMemoryRegistry } from './memory-registry.ts';
import { createRedisRegistry } from './redis-registry.ts';
import { withStaleListings } from './stale-listings.ts';
import type { Registry } from './registry.ts';

export interface RegistryConfig {
  readonly redis: RedisAddress | undefined;
  readonly ttlSeconds: number;
  readonly limits: { readonly peers: number };
  readonly staleSeconds: number;
}

/** @param onProbe told the time each probe of Redis took, in seconds, or that it failed */
export function createRegistry(
  config: RegistryConfig,
  log: Logger,
  onProbe: (seconds: number | undefined) => void,
): Registry {
  const {
    ttlSeconds,
    limits: { peers: maxPeers },
  } = config;
  if (config.redis === undefined) return createMemoryRegistry({ ttlSeconds, maxPeers, now: Date.now });
  const redis = createRedisRegistry(config.redis, { ttlSeconds, maxPeers, log, onProbe });
  return withStaleListings(redis, { ...config, now: () => performance.now() });
}
