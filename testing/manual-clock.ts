// A loop clock that a test advances, for deadlines of minutes.
import type { LoopClock } from '../services/shared/loop-clock.ts';
import { until } from './wait.ts';

/** Step by which the clock advances while a test waits, in milliseconds. */
const STEP_MS = 250;

export interface ManualClock extends LoopClock {
  advance(durationMs: number): void;
  /** Advances the clock in steps until the work is done, and returns its result. */
  advanceUntilDone<T>(work: Promise<T>): Promise<T>;
}

export function createManualClock(): ManualClock {
  const waiting = new Map<() => void, number>();
  let currentMs = 0;

  function advance(durationMs: number): void {
    currentMs += durationMs;
    for (const [run, dueMs] of waiting) {
      if (dueMs > currentMs) continue;
      waiting.delete(run);
      run();
    }
  }

  return {
    nowMs: () => currentMs,
    after(durationMs, callback) {
      const run = (): void => callback();
      waiting.set(run, currentMs + durationMs);
      return () => void waiting.delete(run);
    },
    stop: () => waiting.clear(),
    advance,
    async advanceUntilDone(work) {
      let isDone = false;
      const finish = (): void => void (isDone = true);
      work.then(finish, finish);
      await until(() => {
        if (!isDone) advance(STEP_MS);
        return isDone;
      }, 'the work is done');
      return work;
    },
  };
}
