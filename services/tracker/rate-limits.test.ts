import { describe, expect, test } from '@jest/globals';
import { createRateLimits } from './rate-limits.ts';

describe('a limit on requests', () => {
  const limits = createRateLimits({
    tokenRequestsPerMinute: 2,
    peerRequestsPerMinute: 1,
    addressRequestsPerMinute: undefined,
  });

  test('refuses what is too much, with the seconds to wait', async () => {
    expect(await limits.refusedFor('token', 'a')).toBeUndefined();
    expect(await limits.refusedFor('token', 'a')).toBeUndefined();
    const seconds = await limits.refusedFor('token', 'a');
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThanOrEqual(60);
  });

  test('counts each key and each kind for itself', async () => {
    expect(await limits.refusedFor('peer', 'p1')).toBeUndefined();
    expect(await limits.refusedFor('peer', 'p2')).toBeUndefined();
    expect(await limits.refusedFor('peer', 'p1')).toBeGreaterThan(0);
  });

  test('of 0 is none', async () => {
    for (let n = 0; n < 1_000; n += 1) expect(await limits.refusedFor('address', 'a')).toBeUndefined();
  });
});
