// The memory limit of the process: exported as a metric, and compared at start with the needs of the configured limits.
import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import { Gauge, type Registry } from 'prom-client';
import type { Logger } from './log.ts';

/**
 * The limit of the control group in bytes; `undefined` when the process has no limit below the memory of the machine.
 */
export function memoryLimitBytes(): number | undefined {
  // A control group without a limit reports a number that is larger than the memory of any machine.
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : undefined;
}

/** The memory that default limits follow from. */
export interface UsableMemory {
  readonly memoryBytes: number;
  /** What limits the memory: the container, half of the machine, or twice the heap of Node.js. */
  readonly memoryOf: 'container' | 'machine' | 'heap';
}

export function usableMemory(): UsableMemory {
  const container = memoryLimitBytes();
  const memory = [
    container === undefined
      ? { memoryBytes: totalmem() / 2, memoryOf: 'machine' as const }
      : { memoryBytes: container, memoryOf: 'container' as const },
    // The image sets the maximum heap to half of the memory of the container.
    { memoryBytes: 2 * getHeapStatistics().heap_size_limit, memoryOf: 'heap' as const },
  ];
  const [least = memory[0]] = memory.toSorted((a, b) => a.memoryBytes - b.memoryBytes);
  return least as UsableMemory;
}

/** Registers `process_memory_limit_bytes` if the process has a limit. */
export function collectMemoryLimit(registry: Registry, limitBytes: number | undefined): void {
  if (limitBytes === undefined) return;
  new Gauge({
    name: 'process_memory_limit_bytes',
    help: 'Memory limit of the process in bytes. When it uses more, the kernel kills the container.',
    registers: [registry],
  }).set(limitBytes);
}

/**
 * Logs how much memory the configured limits permit in total, and warns when this is more than the limit of the
 * process.
 *
 * @param needs maximum bytes by consumer
 * @param limitBytes `undefined` when the process has no limit
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
