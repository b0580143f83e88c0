// The queue of calls to the store, with limits on running and waiting calls. It separates the delay of the tracker from
// the delay of the store.
import { RegistryOverloadedError } from './registry.ts';

export interface CallQueueLimits {
  /** Maximum calls that run at the same time; further ones wait. */
  readonly running: number;
  /** Maximum calls that wait; further ones are refused. */
  readonly waiting: number;
  /** Maximum bytes of all waiting calls; calls above this limit are refused. */
  readonly waitingBytes: number;
  /** Maximum time in the queue in milliseconds. Then the call is refused. */
  readonly waitMs: number;
}

/**
 * Limits on the calls of one process. 1,024 registrations keep Redis busy for about 20 ms; more would only wait there.
 */
export const CALL_LIMITS: CallQueueLimits = {
  running: 1_024,
  waiting: 20_000,
  waitingBytes: 16 * 1024 * 1024,
  waitMs: 5_000,
};

export interface CallQueue {
  /**
   * Runs the call as soon as fewer than the maximum number of calls are running.
   *
   * @param bytes memory that the call uses while it waits
   * @throws RegistryOverloadedError when the queue is full or the wait is too long; then the call does not run
   */
  run<T>(bytes: number, call: () => Promise<T>): Promise<T>;
}

interface WaitingCall {
  readonly bytes: number;
  readonly deadlineMs: number;
  readonly start: () => void;
  readonly refuse: () => void;
}

/** Interval at which the age of waiting calls is checked, in milliseconds. */
const SWEEP_MS = 100;

/** @param nowMs monotonic clock */
export function createCallQueue(limits: CallQueueLimits, nowMs: () => number): CallQueue {
  let running = 0;
  let waitingBytes = 0;
  // First in, first out. Calls before `head` were removed, because shifting a long array for each call would be slow.
  let waiting: WaitingCall[] = [];
  let head = 0;
  let sweepTimer: NodeJS.Timeout | undefined;

  function takeFirst(): WaitingCall | undefined {
    const first = waiting[head];
    if (first === undefined) return undefined;
    head += 1;
    waitingBytes -= first.bytes;
    if (head * 2 > waiting.length) {
      waiting = waiting.slice(head);
      head = 0;
    }
    return first;
  }

  function startNext(): void {
    while (running < limits.running) {
      const next = takeFirst();
      if (next === undefined) return;
      if (nowMs() > next.deadlineMs) {
        next.refuse();
        continue;
      }
      running += 1;
      next.start();
    }
  }

  function sweep(): void {
    sweepTimer = undefined;
    for (let first = waiting[head]; first !== undefined && nowMs() > first.deadlineMs; first = waiting[head])
      takeFirst()?.refuse();
    if (waiting.length > head) sweepTimer = setTimeout(sweep, SWEEP_MS);
  }

  function waitInQueue(bytes: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const refuse = (): void =>
      reject(new RegistryOverloadedError(`The call waited in the queue for ${limits.waitMs} ms.`));
    waiting.push({ bytes, deadlineMs: nowMs() + limits.waitMs, start: resolve, refuse });
    waitingBytes += bytes;
    sweepTimer ??= setTimeout(sweep, SWEEP_MS);
    return promise;
  }

  return {
    async run(bytes, call) {
      if (running < limits.running) running += 1;
      else if (waiting.length - head >= limits.waiting || waitingBytes + bytes > limits.waitingBytes)
        throw new RegistryOverloadedError('The queue of calls to the store is full.');
      else await waitInQueue(bytes);
      try {
        return await call();
      } finally {
        running -= 1;
        startNext();
      }
    },
  };
}
