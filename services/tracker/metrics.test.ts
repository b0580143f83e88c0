import { describe, expect, test } from '@jest/globals';
import { testConfig } from '../../testing/tracker-app.ts';
import { createTrackerMetrics } from './metrics.ts';
import { PROBLEM_CODES } from './problems.ts';
import { REGISTRATION_OUTCOMES } from './registry/registry.ts';
import { parseRedisUrl } from './registry/redis-url.ts';

const { limits } = testConfig();
const memory = { star: false, redis: undefined, limits: { ...limits, peers: 10 } };
const redis = { ...memory, star: true, redis: parseRedisUrl('redis://localhost') };

describe('the metrics of the tracker', () => {
  test('include Redis only when it is configured', async () => {
    const without = createTrackerMetrics(memory, () => 0);
    expect(await without.registry.metrics()).not.toContain('redis');
    const metrics = createTrackerMetrics(redis, () => undefined);
    metrics.redisProbe(0.01);
    expect(await metrics.registry.metrics()).toContain('rustory_tracker_redis_up 1');
    metrics.redisProbe(undefined);
    const text = await metrics.registry.metrics();
    expect(text).toContain('rustory_tracker_redis_up 0');
    expect(text).toContain('rustory_tracker_redis_probe_duration_seconds_count 1');
    expect(text).toContain('rustory_tracker_live_peers Nan');
  });

  test('include the number of live peers and their maximum', async () => {
    const text = await createTrackerMetrics(memory, () => 7).registry.metrics();
    expect(text).toContain('rustory_tracker_live_peers 7');
    expect(text).toContain('rustory_tracker_max_peers 10');
  });

  test('include what the registry counts, and NaN while it does not answer', async () => {
    const counts = { circuitPeers: 5, circuits: 6, singleDeviceUsers: 2, hubUsers: 3 };
    const text = await createTrackerMetrics(
      memory,
      () => 7,
      () => counts,
    ).registry.metrics();
    expect(text).toContain('rustory_tracker_circuit_peers 5');
    expect(text).toContain('rustory_tracker_circuits_listed 6');
    expect(text).toContain('rustory_tracker_single_device_users 2');
    expect(text).toContain('rustory_tracker_hub_users 3');
    const unknown = await createTrackerMetrics(memory, () => undefined).registry.metrics();
    expect(unknown).toContain('rustory_tracker_circuit_peers Nan');
  });

  test('have a series for every outcome and every problem code from the start', async () => {
    const text = await createTrackerMetrics(memory, () => 0).registry.metrics();
    for (const outcome of Object.keys(REGISTRATION_OUTCOMES))
      expect(text).toContain(`rustory_tracker_registrations_total{outcome="${outcome}"} 0`);
    for (const code of PROBLEM_CODES)
      expect(text).toContain(`rustory_tracker_refusals_total{reason="${code}"} 0`);
  });

  test('count unknown methods under one label', async () => {
    const metrics = createTrackerMetrics(memory, () => 0);
    for (let n = 0; n < 100; n += 1) metrics.request(`METHOD${n}`, '/*', 404, 0.001);
    expect(await metrics.registry.metrics()).toContain('_count{method="OTHER",route="/*",status="404"} 100');
  });
});
