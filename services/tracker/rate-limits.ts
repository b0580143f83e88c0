// Rate limits per token, peer and client address. The counts are kept in this process, in a fixed number of slots, and
// need no timer.
import { randomInt } from 'node:crypto';
import { monotonicMs } from '../shared/clock.ts';
import type { Result } from '../shared/result.ts';

/** Maximum requests per minute; `undefined` means no limit. */
export interface RateLimitsConfig {
  readonly tokenRequestsPerMinute: number | undefined;
  readonly peerRequestsPerMinute: number | undefined;
  readonly addressRequestsPerMinute: number | undefined;
  readonly failedLoginsPerMinute?: number | undefined;
}

export type RateLimited = 'token' | 'peer' | 'address' | 'failed login';

type Admission = Result<object, 'rate', { readonly retrySeconds: number }>;

export interface RateLimits {
  /** Counts a request. It is refused above the limit, for `retrySeconds`. */
  consume(kind: RateLimited, key: string): Admission;
  /** Takes a request back that was counted. */
  refund(kind: RateLimited, key: string): void;
}

const WINDOW_SECONDS = 60;

/**
 * Number of slots that keys are hashed to. It is fixed, so that a client that invents a peer id for every request
 * cannot fill the memory. Two keys rarely share a slot. Each kind with a limit uses 12 bytes per slot.
 */
const SLOTS = 65_536;

const ADMITTED = { ok: true } as const;

/** Counts the requests of each slot. A window begins with the first request after the end of the previous one. */
class Windows {
  readonly #max: number;
  readonly #counts = new Uint32Array(SLOTS);
  readonly #endsMs = new Float64Array(SLOTS);

  constructor(max: number) {
    this.#max = max;
  }

  /** Returns the time until the slot admits requests again, in milliseconds; 0 when the request is admitted. */
  consume(slot: number, nowMs: number): number {
    const endMs = this.#endsMs[slot] as number;
    if (nowMs >= endMs) {
      this.#endsMs[slot] = nowMs + WINDOW_SECONDS * 1_000;
      this.#counts[slot] = 1;
      return 0;
    }
    const count = this.#counts[slot] as number;
    if (count >= this.#max) return endMs - nowMs;
    this.#counts[slot] = count + 1;
    return 0;
  }

  refund(slot: number, nowMs: number): void {
    const count = this.#counts[slot] as number;
    if (count > 0 && nowMs < (this.#endsMs[slot] as number)) this.#counts[slot] = count - 1;
  }
}

/** @param nowMs monotonic clock */
export function createRateLimits(config: RateLimitsConfig, nowMs: () => number = monotonicMs): RateLimits {
  const windows = {
    token: createWindows(config.tokenRequestsPerMinute),
    peer: createWindows(config.peerRequestsPerMinute),
    address: createWindows(config.addressRequestsPerMinute),
    'failed login': createWindows(config.failedLoginsPerMinute),
  };
  // A random seed, so that clients cannot compute which keys share a slot.
  const seed = randomInt(2 ** 32);
  return {
    consume(kind, key) {
      const waitMs = windows[kind]?.consume(slotOf(key, seed), nowMs()) ?? 0;
      if (waitMs === 0) return ADMITTED;
      return { ok: false, reason: 'rate', retrySeconds: Math.ceil(waitMs / 1_000) };
    },
    refund(kind, key) {
      windows[kind]?.refund(slotOf(key, seed), nowMs());
    },
  };
}

function createWindows(requestsPerMinute: number | undefined): Windows | undefined {
  return requestsPerMinute === undefined ? undefined : new Windows(requestsPerMinute);
}

/** FNV-1a with a seed. */
function slotOf(key: string, seed: number): number {
  let hash = seed;
  for (let index = 0; index < key.length; index += 1)
    hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  return (hash >>> 0) % SLOTS;
}
