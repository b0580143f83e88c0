// Token buckets: so much at once, so much over time.

/** A rate: `perSecond` over time, and up to `burst` at once. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** A bucket that begins full. */
export interface Bucket {
  /** Takes tokens if there are enough, and answers whether there were. */
  take(count: number): boolean;
  /** Takes tokens that may not be there yet, and answers how long to wait before the next ones, in milliseconds. */
  spend(count: number): number;
  /** Whether it is as full as it gets, so that a fresh one would be no different. */
  isFull(): boolean;
}

/** @param now the time in milliseconds, from any start. */
export function createBucket({ perSecond, burst }: Rate, now: () => number): Bucket {
  let tokens = burst;
  let filledAt = now();

  function fill(): void {
    const at = now();
    tokens = Math.min(burst, tokens + ((at - filledAt) / 1000) * perSecond);
    filledAt = at;
  }

  return {
    take(count) {
      fill();
      if (tokens < count) return false;
      tokens -= count;
      return true;
    },
    spend(count) {
      fill();
      tokens -= count;
      return tokens >= 0 ? 0 : (-tokens / perSecond) * 1000;
    },
    isFull() {
      fill();
      return tokens >= burst;
    },
  };
}

/** Buckets by key, each made when first asked for. */
export interface Buckets {
  of(key: string): Bucket;
}

/**
 * Keeps one bucket for each key, and forgets those that are full again. At most `maxKeys` are kept: past that the
 * oldest is forgotten, so that who comes under ever new names cannot fill the memory.
 */
export function createBuckets(rate: Rate, maxKeys: number, now: () => number): Buckets {
  const buckets = new Map<string, Bucket>();

  function makeRoom(): void {
    for (const [key, bucket] of buckets) if (bucket.isFull()) buckets.delete(key);
    const [oldest] = buckets.keys();
    if (buckets.size >= maxKeys && oldest !== undefined) buckets.delete(oldest);
  }

  return {
    of(key) {
      const known = buckets.get(key);
      if (known !== undefined) return known;
      if (buckets.size >= maxKeys) makeRoom();
      const bucket = createBucket(rate, now);
      buckets.set(key, bucket);
      return bucket;
    },
  };
}
