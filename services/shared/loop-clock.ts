// A clock for deadlines on the silence of other programs. It advances only after the event loop has read the sockets,
// and by a limited step, so that a process that was blocked or stopped does not take its own delay for silence.
import { monotonicMs } from './clock.ts';

/** Interval of the steps, and so the resolution of the clock, in milliseconds. */
export const LOOP_STEP_MS = 100;

/** Maximum advance of one step, in milliseconds. A longer step means that the process did not run; that time is not counted. */
const MAX_STEP_MS = 500;

export interface LoopClock {
  /** Milliseconds since the start in which this process could read its sockets. */
  nowMs(): number;
  /** Calls back once when the time has passed on this clock. The returned function cancels the call. */
  after(durationMs: number, callback: () => void): () => void;
  stop(): void;
}

export function createLoopClock(): LoopClock {
  const waiting = new Map<() => void, number>();
  let elapsedMs = 0;
  let steppedAtMs = monotonicMs();
  let timer: NodeJS.Timeout;
  let isStopped = false;

  // Timers run before sockets are read, and immediates after that. A step that ends in an immediate comes after the
  // bytes that had arrived when it began.
  function schedule(): void {
    timer = setTimeout(() => setImmediate(step), LOOP_STEP_MS);
    // The clock keeps no process alive.
    timer.unref();
  }

  function step(): void {
    if (isStopped) return;
    const currentMs = monotonicMs();
    elapsedMs += Math.min(currentMs - steppedAtMs, MAX_STEP_MS);
    steppedAtMs = currentMs;
    for (const [run, dueMs] of waiting) {
      if (dueMs > elapsedMs) continue;
      waiting.delete(run);
      run();
    }
    schedule();
  }

  schedule();
  return {
    nowMs: () => elapsedMs,
    after(durationMs, callback) {
      // A function of its own, because the same callback may wait several times.
      const run = (): void => callback();
      waiting.set(run, elapsedMs + durationMs);
      return () => void waiting.delete(run);
    },
    stop() {
      isStopped = true;
      clearTimeout(timer);
      waiting.clear();
    },
  };
}

/** A signal that aborts when the time has passed on the clock. */
export function loopTimeout(clock: Pick<LoopClock, 'after'>, durationMs: number): AbortSignal {
  const controller = new AbortController();
  clock.after(durationMs, () => controller.abort(new Error(`The deadline of ${durationMs} ms has passed.`)));
  return controller.signal;
}
