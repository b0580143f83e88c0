import { describe, expect, test } from '@jest/globals';
import { createRateLimits } from './rate-limits.ts';

describe('rate limits', () => {
  const limits = createRateLimits({
    tokenRequestsPerMinute: 2,
    peerRequestsPerMinute: 1,
    addressRequestsPerMinute: undefined,
  });

  test('refuse requests above the limit, with the time until a retry in seconds', async () => {
    expect(await limits.consume('token', 'a')).toEqual({ ok: true });
    expect(await limits.consume('token', 'a')).toEqual({ ok: true });
    const admission = await limits.consume('token', 'a');
    expect(admission).toMatchObject({ ok: false, reason: 'rate' });
    const seconds = admission.ok ? 0 : admission.retrySeconds;
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThanOrEqual(60);
  });

  test('count each key and each kind separately', async () => {
    expect(await limits.consume('peer', 'p1')).toEqual({ ok: true });
    expect(await limits.consume('peer', 'p2')).toEqual({ ok: true });
    expect(await limits.consume('peer', 'p1')).toMatchObject({ ok: false });
  });

  test('admit every request without a limit', async () => {
    for (let n = 0; n < 1_000; n += 1) expect(await limits.consume('address', 'a')).toEqual({ ok: true });
  });
});
