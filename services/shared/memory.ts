// How much memory the process may use before its container is ended, as a metric beside those of the process.
import { totalmem } from 'node:os';
import { Gauge, type Registry } from 'prom-client';

/** The limit of the control group in bytes, or `undefined` where the machine's memory is the only bound. */
export function memoryLimitBytes(): number | undefined {
  // Without a limit of its own a control group tells a number that no machine has.
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : undefined;
}

/** Adds `process_memory_limit_bytes`, where there is a limit. */
export function collectMemoryLimit(registry: Registry, limit: number | undefined): void {
  if (limit === undefined) return;
  new Gauge({
    name: 'process_memory_limit_bytes',
    help: 'Memory that the process may use before its container is ended.',
    registers: [registry],
  }).set(limit);
}
