// The memory limit of the process: as a metric, and compared at start with what the configured limits may use.
import { totalmem } from 'node:os';
import { Gauge, type Registry } from 'prom-client';
import type { Logger } from './log.ts';

/** The limit of the control group in bytes, or `undefined` when only the memory of the machine is the limit. */
export function memoryLimitBytes(): number | undefined {
  // A control group without a limit of its own reports a number that no machine has.
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : undefined;
}

/** Adds `process_memory_limit_bytes`, if there is a limit. */
export function collectMemoryLimit(registry: Registry, limitBytes: number | undefined): void {
  if (limitBytes === undefined) return;
  new Gauge({
    name: 'process_memory_limit_bytes',
    help: 'Memory limit of the process in bytes. When it uses more, the kernel kills the container.',
    registers: [registry],
  }).set(limitBytes);
}

/**
 * Logs how much memory the configured limits may use together, and warns when that is more than the process may have.
 *
 * @param needs bytes at most, by what uses them
 * @param limitBytes `undefined` when the process has no limit of its own
 */
export function logMemoryNeeds(
  log: Logger,
  needs: Readonly<Record<string, number>>,
  limitBytes: number | undefined,
): void {
  const totalBytes = Object.values(needs).reduce((sum, bytes) => sum + bytes, 0);
  const fields = { needs, totalBytes, limitBytes };
  if (limitBytes === undefined || totalBytes <= limitBytes)
    log.info(fields, 'memory that the limits may use');
  else
    log.warn(
      fields,
      'the limits may use more memory than the container has: lower them or raise its memory limit',
    );
}
