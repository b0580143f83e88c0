// The metrics that every service has: those of its Node.js process.
import { collectDefaultMetrics, type Registry } from 'prom-client';
import { collectMemoryLimit, memoryLimitBytes } from './memory.ts';

/**
 * Interval at which the delay of the event loop is measured, in milliseconds. Each measurement wakes the process. The
 * metric contains the interval, so it must be well below the 100 ms from which a delay is a reason to act.
 */
const EVENT_LOOP_INTERVAL_MS = 50;

/** Registers `process_*` and `nodejs_*`. */
export function collectProcessMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_INTERVAL_MS });
  collectMemoryLimit(registry, memoryLimitBytes());
}
