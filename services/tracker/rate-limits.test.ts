import { describe, expect, test } from '@jest/globals';
import { createRateLimits } from './rate-limits.ts';

describe('rate limits', () => {
  const limits = createRateLimits({
    tokenRequestsPerMinute: 2,
    peerRequestsPerMinute: 1,
    addressRequestsPerMinute: undefined,
  });

  test('refuse requests above the limit, with the time until a retry in seconds', () => {
    expect(limits.consume('token', 'a')).toEqual({ ok: true });
    expect(limits.consume('token', 'a')).toEqual({ ok: true });
    const admission = limits.consume('token', 'a');
    expect(admission).toMatchObject({ ok: false, reason: 'rate' });
    const seconds = admission.ok ? 0 : admission.retrySeconds;
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThanOrEqual(60);
  });

  test('count each key and each kind separately', () => {
    expect(limits.consume('peer', 'p1')).toEqual({ ok: true });
    expect(limits.consume('peer', 'p2')).toEqual({ ok: true });
    expect(limits.consume('peer', 'p1')).toMatchObject({ ok: false });
  });

  test('admit again a minute after the first request, and what was refunded', () => {
    const clock = { ms: 1_000 };
    const minute = createRateLimits(
      { tokenRequestsPerMinute: 1, peerRequestsPerMinute: 2, addressRequestsPerMinute: undefined },
      () => clock.ms,
    );
    expect(minute.consume('token', 'a')).toEqual({ ok: true });
    clock.ms += 59_500;
    expect(minute.consume('token', 'a')).toEqual({ ok: false, reason: 'rate', retrySeconds: 1 });
    clock.ms += 500;
    expect(minute.consume('token', 'a')).toEqual({ ok: true });
    for (let n = 0; n < 10; n += 1) {
      expect(minute.consume('peer', 'p')).toEqual({ ok: true });
      minute.refund('peer', 'p');
    }
    minute.refund('peer', 'p');
    for (const ok of [true, true, false]) expect(minute.consume('peer', 'p')).toMatchObject({ ok });
  });

  test('admit every request without a limit', () => {
    for (let n = 0; n < 1_000; n += 1) expect(limits.consume('address', 'a')).toEqual({ ok: true });
  });
});
