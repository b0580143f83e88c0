// How often a token, a peer and a client address may ask: counted in this process, in a bounded number of slots.
import { randomInt } from 'node:crypto';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';

/** Maximum requests per minute; `undefined` means no limit. */
export interface RateLimitsConfig {
  readonly tokenRequestsPerMinute: number | undefined;
  readonly peerRequestsPerMinute: number | undefined;
  readonly addressRequestsPerMinute: number | undefined;
}

export type RateLimited = 'token' | 'peer' | 'address';

export interface RateLimits {
  /** Counts a request; the seconds after which it would be let through, or `undefined` when it is. */
  refusedFor(kind: RateLimited, key: string): Promise<number | undefined>;
}

const WINDOW_SECONDS = 60;

/**
 * Keys are counted in so many slots, so that a client that invents a new peer id with every request fills no memory.
 * Two keys seldom share a slot, and then only a fraction of their requests matters.
 */
const SLOTS = 65_536;

export function createRateLimits(config: RateLimitsConfig): RateLimits {
  const limiters = {
    token: createLimiter(config.tokenRequestsPerMinute),
    peer: createLimiter(config.peerRequestsPerMinute),
    address: createLimiter(config.addressRequestsPerMinute),
  };
  // Nobody outside can tell which keys share a slot.
  const seed = randomInt(2 ** 32);
  return {
    async refusedFor(kind, key) {
      const limiter = limiters[kind];
      if (limiter === undefined) return undefined;
      try {
        await limiter.consume(slotOf(key, seed));
        return undefined;
      } catch (refused) {
        if (refused instanceof RateLimiterRes) return Math.max(1, Math.ceil(refused.msBeforeNext / 1_000));
        throw refused;
      }
    },
  };
}

function createLimiter(points: number | undefined): RateLimiterMemory | undefined {
  return points === undefined ? undefined : new RateLimiterMemory({ points, duration: WINDOW_SECONDS });
}

/** FNV-1a with a seed. */
function slotOf(key: string, seed: number): number {
  let hash = seed;
  for (let at = 0; at < key.length; at += 1) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  return (hash >>> 0) % SLOTS;
}
