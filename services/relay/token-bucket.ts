// Token buckets: rate limiters with a burst.

/** A rate in tokens per second, and the maximum burst in tokens. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** A token bucket, full at first. */
export interface TokenBucket {
  /** Takes tokens if the bucket has enough. Returns whether it did. */
  take(count: number): boolean;
  /** Takes tokens even if the balance becomes negative. Returns the time in milliseconds until it is zero again. */
  spend(count: number): number;
  /** Whether the bucket is full, and so equal to a new one. */
  isFull(): boolean;
}

/** @param nowMs monotonic clock */
export function createTokenBucket(rate: Rate, nowMs: () => number): TokenBucket {
  return new Bucket(rate, nowMs);
}

/** A class, because there is one for each peer. */
class Bucket implements TokenBucket {
  readonly #rate: Rate;
  readonly #nowMs: () => number;
  #tokens: number;
  #filledAtMs: number;

  constructor(rate: Rate, nowMs: () => number) {
    this.#rate = rate;
    this.#nowMs = nowMs;
    this.#tokens = rate.burst;
    this.#filledAtMs = nowMs();
  }

  take(count: number): boolean {
    this.#fill();
    if (this.#tokens < count) return false;
    this.#tokens -= count;
    return true;
  }

  spend(count: number): number {
    this.#fill();
    this.#tokens -= count;
    return this.#tokens >= 0 ? 0 : (-this.#tokens / this.#rate.perSecond) * 1000;
  }

  isFull(): boolean {
    this.#fill();
    return this.#tokens >= this.#rate.burst;
  }

  #fill(): void {
    const { perSecond, burst } = this.#rate;
    const currentMs = this.#nowMs();
    this.#tokens = Math.min(burst, this.#tokens + ((currentMs - this.#filledAtMs) / 1000) * perSecond);
    this.#filledAtMs = currentMs;
  }
}

/** Token buckets by key, each created on first use. */
export interface TokenBuckets {
  of(key: string): TokenBucket;
}

/**
 * One token bucket for each key. Full buckets are dropped, because a new one is equal. Maximum `maxKeys` buckets: above
 * this limit the oldest one is evicted, so that a client that invents keys cannot fill the memory.
 *
 * @param nowMs monotonic clock
 */
export function createTokenBuckets(rate: Rate, maxKeys: number, nowMs: () => number): TokenBuckets {
  const buckets = new Map<string, TokenBucket>();

  function evict(): void {
    for (const [key, bucket] of buckets) if (bucket.isFull()) buckets.delete(key);
    const [oldest] = buckets.keys();
    if (buckets.size >= maxKeys && oldest !== undefined) buckets.delete(oldest);
  }

  return {
    of(key) {
      const existing = buckets.get(key);
      if (existing !== undefined) return existing;
      if (buckets.size >= maxKeys) evict();
      const bucket = createTokenBucket(rate, nowMs);
      buckets.set(key, bucket);
      return bucket;
    },
  };
}

/** The token buckets of a rate per minute, with a burst of one minute. */
export function perMinute(count: number): Rate {
  return { perSecond: count / 60, burst: count };
}
