import { describe, expect, test } from '@jest/globals';
import { createTokenBucket, createTokenBuckets } from './token-bucket.ts';

function createClock() {
  let clockMs = 0;
  return { nowMs: () => clockMs, advance: (seconds: number) => void (clockMs += seconds * 1000) };
}

describe('a token bucket', () => {
  test('allows its burst at once, and its rate afterwards', () => {
    const { nowMs, advance } = createClock();
    const bucket = createTokenBucket({ perSecond: 2, burst: 3 }, nowMs);
    expect([1, 2, 3, 4].map(() => bucket.take(1))).toEqual([true, true, true, false]);
    advance(0.5);
    expect([bucket.take(1), bucket.take(1)]).toEqual([true, false]);
    advance(60);
    expect([1, 2, 3, 4].map(() => bucket.take(1))).toEqual([true, true, true, false]);
  });

  test('returns the wait when more is spent than it has', () => {
    const { nowMs, advance } = createClock();
    const bucket = createTokenBucket({ perSecond: 100, burst: 100 }, nowMs);
    expect(bucket.spend(100)).toBe(0);
    expect(bucket.spend(50)).toBe(500);
    advance(0.5);
    expect(bucket.spend(10)).toBe(100);
  });
});

describe('token buckets by key', () => {
  test('are independent, and dropped when they are full again', () => {
    const { nowMs, advance } = createClock();
    const buckets = createTokenBuckets({ perSecond: 1, burst: 1 }, 2, nowMs);
    expect(buckets.of('a').take(1)).toBe(true);
    expect(buckets.of('b').take(1)).toBe(true);
    expect(buckets.of('a').take(1)).toBe(false);
    advance(1);
    // The maximum is two: the third replaces a full one.
    expect(buckets.of('c').take(1)).toBe(true);
    expect(buckets.of('b').take(1)).toBe(true);
  });

  test('are limited in number, regardless of the number of keys', () => {
    const { nowMs } = createClock();
    const buckets = createTokenBuckets({ perSecond: 1, burst: 1 }, 2, nowMs);
    for (let index = 0; index < 1_000; index += 1) buckets.of(`peer ${index}`).take(1);
    expect(buckets.of('peer 999').take(1)).toBe(false);
    expect(buckets.of('peer 0').take(1)).toBe(true);
  });
});
