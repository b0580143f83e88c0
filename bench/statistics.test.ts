// The statistics of the report, and the order of the runs.
import { describe, expect, test } from '@jest/globals';
import { createRandom, shuffled } from './shuffle.ts';
import { median, present, quantile, ratios, spread } from './statistics.ts';

describe('statistics', () => {
  test('the median of an even number of values is the mean of the middle two', () => {
    expect(median([4, 1, 3])).toBe(3);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(() => median([])).toThrow(RangeError);
  });

  test('a quantile is one of the values', () => {
    const values = Array.from({ length: 100 }, (_, index) => index + 1);
    expect([0, 0.5, 0.99, 1].map((share) => quantile(values, share))).toEqual([1, 50, 99, 100]);
    expect(quantile([7], 0.99)).toBe(7);
  });

  test('a spread has median, minimum, maximum and count, and there is none without values', () => {
    expect(spread(present([3, null, 1, 2]))).toEqual({ median: 2, min: 1, max: 3, count: 3 });
    expect(spread([])).toBeUndefined();
  });

  test('ratios are those of the same round, and rounds without both values have none', () => {
    expect(ratios([1, 6, null, 8], [2, 3, 4, null])).toEqual([0.5, 2]);
    expect(ratios([1], [0])).toEqual([]);
  });
});

describe('the order of the runs', () => {
  test('follows from the seed, and every run is in it once', () => {
    const runs = Array.from({ length: 20 }, (_, index) => index);
    const [first, again] = [shuffled(runs, createRandom(7)), shuffled(runs, createRandom(7))];
    expect(first).toEqual(again);
    expect(first).not.toEqual(shuffled(runs, createRandom(8)));
    expect(first.toSorted((a, b) => a - b)).toEqual(runs);
  });

  test('every run is first at times', () => {
    const random = createRandom(1);
    const firsts = new Set(Array.from({ length: 200 }, () => shuffled(['a', 'b', 'c'], random)[0]));
    expect(firsts).toEqual(new Set(['a', 'b', 'c']));
  });
});
