import { expect, test } from '@jest/globals';
import { relayConfig } from '../../testing/relay.ts';
import { createRelayMetrics } from './metrics.ts';

const { limits } = await relayConfig();

const GAUGES = {
  reservations: () => 3,
  circuits: () => 0,
  muxers: () => [],
  pending: () => 0,
  bufferedBytes: () => 0,
};

test('every limit that is set is a series, in snake case', async () => {
  const metrics = createRelayMetrics({ ...limits, peerBytesPerSecond: undefined }, 'noble');
  metrics.observe(GAUGES);
  const text = await metrics.registry.metrics();
  expect(text).toContain('rustory_relay_reservations 3');
  expect(text).toContain('rustory_relay_limit{resource="reservations"} 512');
  expect(text).toContain('rustory_relay_limit{resource="circuits"} 256');
  expect(text).toContain('rustory_relay_limit{resource="connections"} 2048');
  expect(text).toContain('rustory_relay_limit{resource="buffered_bytes"} 33554432');
  expect(text).toContain('rustory_relay_limit{resource="reservations_per_minute"} 30');
  expect(text).not.toContain('peer_bytes_per_second');
});

test('the series of every counter of a relay are there before anything happened', async () => {
  const text = await createRelayMetrics(limits, 'noble').registry.metrics();
  const counters = [...text.matchAll(/^# TYPE (rustory_relay_\w+) counter$/gm)].map(([, name = '']) => name);
  expect(counters.length).toBeGreaterThan(6);
  for (const name of counters) expect(text).toMatch(new RegExp(`^${name}(\\{.*\\})? 0$`, 'm'));
});
