import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import { collectProcessMetrics } from './process-metrics.ts';

/** Blocks the event loop for longer than the interval of its measurement, then lets it make the measurement. */
async function block(durationMs: number): Promise<void> {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, durationMs);
  await nextTurn();
  await nextTurn();
}

test('a delay of the event loop is not measured as a shorter one', async () => {
  const registry = new Registry();
  collectProcessMetrics(registry);
  // The first measurement begins the second one.
  await block(200);
  await block(400);
  const text = await registry.metrics();
  const lagSeconds = Number(/^nodejs_eventloop_lag_p99_seconds (\S+)$/m.exec(text)?.[1]);
  expect(lagSeconds).toBeGreaterThan(0.39);
});

test('the metrics of the process have the names that dashboards and alerts use', async () => {
  const registry = new Registry();
  collectProcessMetrics(registry);
  const text = await registry.metrics();
  for (const name of [
    'process_cpu_seconds_total',
    'process_resident_memory_bytes',
    'nodejs_eventloop_lag_p99_seconds',
    'nodejs_gc_duration_seconds',
  ])
    expect(text).toContain(`# TYPE ${name} `);
});
