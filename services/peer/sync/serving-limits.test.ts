import { describe, expect, test } from '@jest/globals';
import { servingLimits } from './serving-limits.ts';

const MIB = 1024 * 1024;

describe('the limits of the requests that a device serves', () => {
  test('let 200 devices come at the same time with the memory of a hub', () => {
    const { inWork, waiting } = servingLimits(256 * MIB);
    expect(inWork).toBe(16);
    expect(inWork + waiting).toBeGreaterThanOrEqual(200);
  });

  test('follow from the memory', () => {
    expect(servingLimits(512 * MIB)).toEqual({ inWork: 32, waiting: 480, pushBytes: 32 * MIB });
    expect(servingLimits(64 * MIB)).toEqual({ inWork: 4, waiting: 60, pushBytes: 4 * MIB });
    expect(servingLimits(1)).toEqual({ inWork: 1, waiting: 1, pushBytes: 0 });
    expect(servingLimits(1024 * 1024 * MIB)).toMatchObject({ inWork: 64, waiting: 1_984 });
  });
});
