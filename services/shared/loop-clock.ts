// A clock for deadlines on the silence of other programs. It advances only after the event loop has read the sockets,
// and by a limited step, so that a process that was blocked or stopped does not take its own delay for silence.
import { monotonicMs } from './clock.ts';

/** Interval of the steps while a call waits, and so the resolution of the clock, in milliseconds. */
export const LOOP_STEP_MS = 100;

/** Interval of the steps while no call waits, in milliseconds. Each step wakes a process that may have nothing to do. */
const REST_STEP_MS = 1_000;

/** Maximum delay of a step, in milliseconds. After a longer one the process did not run; that time is not counted. */
const MAX_DELAY_MS = 400;

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
  let stepMs = REST_STEP_MS;
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;

  // Timers run before sockets are read, and immediates after that. A step that ends in an immediate comes after the
  // bytes that had arrived when it began.
  function schedule(): void {
    stepMs = waiting.size === 0 ? REST_STEP_MS : LOOP_STEP_MS;
    // The step of a rest may be on its way while a call begins to wait. There is one timer all the same.
    clearTimeout(timer);
    timer = setTimeout(() => setImmediate(step), stepMs);
    // The clock keeps no process alive.
    timer.unref();
  }

  function advance(): void {
    const currentMs = monotonicMs();
    elapsedMs += Math.min(currentMs - steppedAtMs, stepMs + MAX_DELAY_MS);
    steppedAtMs = currentMs;
  }

  function step(): void {
    if (isStopped) return;
    advance();
    for (const [run, dueMs] of waiting) {
      if (dueMs > elapsedMs) continue;
      waiting.delete(run);
      run();
    }
    schedule();
  }

  schedule();
  return {
    nowMs() {
      // During a rest the last step may be a second ago. No deadline can pass before its bytes are read.
      if (stepMs === REST_STEP_MS && !isStopped) advance();
      return elapsedMs;
    },
    after(durationMs, callback) {
      // A function of its own, because the same callback may wait several times.
      const run = (): void => callback();
      const isRest = stepMs === REST_STEP_MS && !isStopped;
      if (isRest) advance();
      waiting.set(run, elapsedMs + durationMs);
      if (isRest) schedule();
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
