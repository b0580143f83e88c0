import { expect, test } from '@jest/globals';
import { createBucket, createBuckets } from './token-bucket.ts';

function clock() {
  let milliseconds = 0;
  return { now: () => milliseconds, pass: (seconds: number) => void (milliseconds += seconds * 1000) };
}

test('a bucket gives its burst at once, then its rate', () => {
  const { now, pass } = clock();
  const bucket = createBucket({ perSecond: 2, burst: 3 }, now);
  expect([1, 2, 3, 4].map(() => bucket.take(1))).toEqual([true, true, true, false]);
  pass(0.5);
  expect([bucket.take(1), bucket.take(1)]).toEqual([true, false]);
  pass(60);
  expect([1, 2, 3, 4].map(() => bucket.take(1))).toEqual([true, true, true, false]);
});

test('a bucket that is overspent says how long to wait', () => {
  const { now, pass } = clock();
  const bucket = createBucket({ perSecond: 100, burst: 100 }, now);
  expect(bucket.spend(100)).toBe(0);
  expect(bucket.spend(50)).toBe(500);
  pass(0.5);
  expect(bucket.spend(10)).toBe(100);
});

test('buckets are kept apart, and forgotten when they are full again', () => {
  const { now, pass } = clock();
  const buckets = createBuckets({ perSecond: 1, burst: 1 }, 2, now);
  expect(buckets.of('a').take(1)).toBe(true);
  expect(buckets.of('b').take(1)).toBe(true);
  expect(buckets.of('a').take(1)).toBe(false);
  pass(1);
  // There is room for two: the third takes the place of one that would be no different afresh.
  expect(buckets.of('c').take(1)).toBe(true);
  expect(buckets.of('b').take(1)).toBe(true);
});

test('buckets under ever new names stay bounded', () => {
  const { now } = clock();
  const buckets = createBuckets({ perSecond: 1, burst: 1 }, 2, now);
  for (let at = 0; at < 1_000; at += 1) buckets.of(`peer ${at}`).take(1);
  expect(buckets.of('peer 999').take(1)).toBe(false);
  expect(buckets.of('peer 0').take(1)).toBe(true);
});
