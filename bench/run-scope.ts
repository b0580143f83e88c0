// What a run has started, so that it is stopped after the run, and when the program is interrupted.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunContext } from './benchmark.ts';

export interface RunScope {
  readonly context: RunContext;
  /** Runs the steps that were registered, the latest first. */
  close(): Promise<void>;
}

const open = new Set<RunScope>();

export function openRun(scale: number, round: number): RunScope {
  const folder = mkdtempSync(join(tmpdir(), 'rustory-bench-'));
  const steps: Array<() => unknown> = [() => rmSync(folder, { recursive: true, force: true })];
  const scope: RunScope = {
    context: { scale, round, folder, onEnd: (step) => void steps.push(step) },
    async close() {
      for (let step = steps.pop(); step !== undefined; step = steps.pop()) await step();
      open.delete(scope);
    },
  };
  open.add(scope);
  return scope;
}

/** Stops what the run that was interrupted has started. Its servers are process groups of their own. */
export async function closeOpenRuns(): Promise<void> {
  for (const scope of open) await scope.close();
}
