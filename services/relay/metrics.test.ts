import { expect, test } from '@jest/globals';
import { relayLimits } from '../../testing/relay-config.ts';
import { createRelayMetrics } from './metrics.ts';
import { CIRCUIT_REFUSALS, outcomeNames, RESERVATION_REFUSALS } from './outcomes.ts';

const limits = relayLimits();

test('every limit that is set is a series', async () => {
  const metrics = createRelayMetrics({ ...limits, peerBytesPerSecond: undefined }, 'noble');
  const text = await metrics.registry.metrics();
  expect(text).toContain(`rustory_relay_limit{resource="reservations"} ${limits.reservations}`);
  expect(text).toContain(`rustory_relay_limit{resource="circuits"} ${limits.circuits}`);
  expect(text).toContain(`rustory_relay_limit{resource="connections"} ${limits.connections}`);
  expect(text).toContain('rustory_relay_limit{resource="buffered_bytes"} 33554432');
  expect(text).toContain('rustory_relay_limit{resource="reservations_per_minute"} 30');
  expect(text).not.toContain('peer_bytes_per_second');
});

test('gauges are evaluated at scrape time', async () => {
  const metrics = createRelayMetrics(limits, 'noble');
  let reservations = 3;
  metrics.observe({
    reservations: () => reservations,
    circuits: () => 0,
    muxers: () => ['/yamux/1.0.0', '/yamux/1.0.0', '/unknown/1.0.0'],
    pending: () => 0,
    waiting: () => 0,
    bufferedBytes: () => 0,
    unreachablePeers: () => 0,
    lastingUnreachablePeers: () => 0,
  });
  expect(await metrics.registry.metrics()).toContain('rustory_relay_reservations 3');
  reservations = 4;
  const text = await metrics.registry.metrics();
  expect(text).toContain('rustory_relay_reservations 4');
  expect(text).toContain('rustory_relay_connections{muxer="yamux"} 2');
});

test('every series of a counter exists before its first event', async () => {
  const text = await createRelayMetrics(limits, 'noble').registry.metrics();
  const counters = [...text.matchAll(/^# TYPE (rustory_relay_\w+) counter$/gm)].map(([, name = '']) => name);
  expect(counters.length).toBeGreaterThan(6);
  for (const name of counters) expect(text).toMatch(new RegExp(`^${name}(\\{.*\\})? 0$`, 'm'));
  for (const reason of outcomeNames(RESERVATION_REFUSALS))
    expect(text).toContain(`rustory_relay_reservation_requests_total{outcome="${reason}"} 0`);
  for (const reason of outcomeNames(CIRCUIT_REFUSALS))
    expect(text).toContain(`rustory_relay_circuit_requests_total{outcome="${reason}"} 0`);
});
