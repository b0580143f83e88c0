import { expect, test } from '@jest/globals';
import { createRelayMetrics } from './metrics.ts';

const GAUGES = {
  reservations: () => 3,
  circuits: () => 0,
  muxers: () => [],
  pending: () => 0,
  bufferedBytes: () => 0,
};

test('the metrics of a relay tell each limit beside what it bounds', async () => {
  const metrics = createRelayMetrics('noble');
  metrics.observe(GAUGES);
  metrics.limits({ reservations: 512, circuits: 256, connections: 2048, buffered_bytes: 1024 });
  const text = await metrics.registry.metrics();
  expect(text).toContain('rustory_relay_reservations 3');
  expect(text).toContain('rustory_relay_limit{resource="reservations"} 512');
  expect(text).toContain('rustory_relay_limit{resource="circuits"} 256');
  expect(text).toContain('rustory_relay_limit{resource="connections"} 2048');
  expect(text).toContain('rustory_relay_limit{resource="buffered_bytes"} 1024');
});

test('the series of every counter of a relay are there before anything happened', async () => {
  const text = await createRelayMetrics('noble').registry.metrics();
  const counters = [...text.matchAll(/^# TYPE (rustory_relay_\w+) counter$/gm)].map(([, name = '']) => name);
  expect(counters.length).toBeGreaterThan(6);
  for (const name of counters) expect(text).toMatch(new RegExp(`^${name}(\\{.*\\})? 0$`, 'm'));
});
