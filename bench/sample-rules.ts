// Which samples count.
import type { Sample } from './benchmark.ts';

/** Minimum CPU time of a sample, in seconds: 300 ticks of the kernel's clock, so that one tick is 0.3 %. */
export const MIN_CPU_SECONDS = 3;

/** A sample with this number of operations counts with less CPU time. */
export const MIN_OPERATIONS = 1_000;

/** Planned above the minimum, because the next run may need less CPU time than this one. */
const RESERVE = 1.15;

/** Maximum factor from one attempt to the next: the figures of a tiny sample are mostly noise. */
const MAX_GROWTH = 8;

/** Minimum factor from one attempt to the next, so that few attempts suffice. */
const MIN_GROWTH = 1.25;

/** Why a sample does not count, as a whole sentence. */
export type Void = string;

/** @returns `undefined` when the sample counts */
export function voidReason(sample: Sample, minimum: 'work' | 'any' = 'work'): Void | undefined {
  const [first] = sample.errors;
  if (first !== undefined)
    return sample.errors.length === 1 ? first : `${first} (and ${sample.errors.length - 1} more)`;
  if (minimum === 'any' || isLargeEnough(sample)) return undefined;
  return `The sample is too small: ${sample.cpuSeconds.toFixed(2)} CPU-seconds and ${sample.operations} operations.`;
}

export function isLargeEnough({ cpuSeconds, operations }: Sample): boolean {
  return cpuSeconds >= MIN_CPU_SECONDS || operations >= MIN_OPERATIONS;
}

/** The scale with which the next run is large enough; the same if this one was. */
export function nextScale(scale: number, sample: Sample): number {
  if (isLargeEnough(sample)) return scale;
  const byCpu = sample.cpuSeconds > 0 ? (MIN_CPU_SECONDS * RESERVE) / sample.cpuSeconds : MAX_GROWTH;
  const byOperations = sample.operations > 0 ? MIN_OPERATIONS / sample.operations : MAX_GROWTH;
  const growth = Math.min(MAX_GROWTH, Math.max(MIN_GROWTH, Math.min(byCpu, byOperations)));
  return scale * growth;
}
