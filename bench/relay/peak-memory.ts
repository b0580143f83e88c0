// The peak of resident memory that the kernel keeps for each process.
import { writeFileSync } from 'node:fs';

/** Starts the peak again from the present memory. Linux only; elsewhere nothing is kept. */
export function resetPeak({ pid }: { readonly pid: number }): void {
  if (process.platform === 'linux') writeFileSync(`/proc/${pid}/clear_refs`, '5');
}
