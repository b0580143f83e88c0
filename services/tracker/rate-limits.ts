// Rate limits per token, peer and client address. The counts are kept in this process, in a fixed number of slots.
import { randomInt } from 'node:crypto';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import type { Result } from '../shared/result.ts';

/** Maximum requests per minute; `undefined` means no limit. */
export interface RateLimitsConfig {
  readonly tokenRequestsPerMinute: number | undefined;
  readonly peerRequestsPerMinute: number | undefined;
  readonly addressRequestsPerMinute: number | undefined;
  readonly failedLoginsPerMinute?: number | undefined;
}

export type RateLimited = 'token' | 'peer' | 'address' | 'failed login';

export interface RateLimits {
  /** Counts a request. It is refused above the limit, for `retrySeconds`. */
  consume(kind: RateLimited, key: string): Promise<Result<object, 'rate', { readonly retrySeconds: number }>>;
  /** Takes a request back that was counted. */
  refund(kind: RateLimited, key: string): Promise<void>;
}

const WINDOW_SECONDS = 60;

/**
 * Number of slots that keys are hashed to. It is fixed, so that a client that invents a peer id for every request
 * cannot fill the memory. Two keys rarely share a slot.
 */
const SLOTS = 65_536;

export function createRateLimits(config: RateLimitsConfig): RateLimits {
  const limiters = {
    token: createLimiter(config.tokenRequestsPerMinute),
    peer: createLimiter(config.peerRequestsPerMinute),
    address: createLimiter(config.addressRequestsPerMinute),
    'failed login': createLimiter(config.failedLoginsPerMinute),
  };
  // A random seed, so that clients cannot compute which keys share a slot.
  const seed = randomInt(2 ** 32);
  return {
    async consume(kind, key) {
      const limiter = limiters[kind];
      if (limiter === undefined) return { ok: true };
      try {
        await limiter.consume(slotOf(key, seed));
        return { ok: true };
      } catch (refusal) {
        if (!(refusal instanceof RateLimiterRes)) throw refusal;
        // The limiter computes the time with the clock of the machine, which may have been set back.
        const retrySeconds = Math.min(WINDOW_SECONDS, Math.max(1, Math.ceil(refusal.msBeforeNext / 1_000)));
        return { ok: false, reason: 'rate', retrySeconds };
      }
    },
    async refund(kind, key) {
      await limiters[kind]?.reward(slotOf(key, seed));
    },
  };
}

function createLimiter(requestsPerMinute: number | undefined): RateLimiterMemory | undefined {
  if (requestsPerMinute === undefined) return undefined;
  return new RateLimiterMemory({ points: requestsPerMinute, duration: WINDOW_SECONDS });
}

/** FNV-1a with a seed. */
function slotOf(key: string, seed: number): number {
  let hash = seed;
  for (let index = 0; index < key.length; index += 1)
    hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  return (hash >>> 0) % SLOTS;
}
