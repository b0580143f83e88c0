import { describe, expect, test } from '@jest/globals';
import { createTrackerMetrics } from './metrics.ts';

describe('the metrics of a tracker', () => {
  test('of Redis are there only with Redis', async () => {
    const without = createTrackerMetrics(() => 0, false, 10);
    expect(await without.registry.metrics()).not.toContain('redis');
    const metrics = createTrackerMetrics(() => undefined, true, 10);
    metrics.redisProbe(0.01);
    expect(await metrics.registry.metrics()).toContain('rustory_tracker_redis_up 1');
    metrics.redisProbe(undefined);
    const text = await metrics.registry.metrics();
    expect(text).toContain('rustory_tracker_redis_up 0');
    expect(text).toContain('rustory_tracker_redis_probe_duration_seconds_count 1');
    expect(text).toContain('rustory_tracker_live_peers Nan');
  });

  test('tell the most peers there may be, by which their number is judged', async () => {
    const { registry } = createTrackerMetrics(() => 7, false, 10);
    const text = await registry.metrics();
    expect(text).toContain('rustory_tracker_live_peers 7');
    expect(text).toContain('rustory_tracker_max_peers 10');
  });

  test('put methods that clients invent under one label', async () => {
    const metrics = createTrackerMetrics(() => 0, false, 10);
    for (let n = 0; n < 100; n += 1) metrics.request(`METHOD${n}`, '/*', 404, 0.001);
    expect(await metrics.registry.metrics()).toContain('_count{method="OTHER",route="/*",status="404"} 100');
  });
});
