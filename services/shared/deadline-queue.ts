// Deadlines of one duration for many items, such as the requests of a service or the connections that close. They are due
// in the order in which they were added, so only the first one waits on the clock, however many there are.
import { monotonicMs } from './clock.ts';
import type { LoopClock } from './loop-clock.ts';

/** Something with a deadline. */
export interface Expiring {
  /** The deadline has passed, or there are too many with later ones. The queue contains it no longer. */
  expire(): void;
}

/** What a queue needs of a clock. */
export type DeadlineClock = Pick<LoopClock, 'nowMs' | 'after'>;

/** The time of the machine. After an immediate, everything that arrived until the deadline is read. */
const MACHINE_CLOCK: DeadlineClock = {
  nowMs: monotonicMs,
  after(durationMs, callback) {
    let isCanceled = false;
    const timer = setTimeout(() => setImmediate(() => isCanceled || callback()), durationMs);
    return () => {
      isCanceled = true;
      clearTimeout(timer);
    };
  },
};

export interface DeadlineQueueOptions {
  /** Above this number the oldest one expires at once. Default: no maximum, for items that have a limit already. */
  readonly maxSize?: number;
  /** Default: the time of the machine, which also passes while this process is stopped. */
  readonly clock?: DeadlineClock;
}

export class DeadlineQueue {
  /** The times at which they are due, in order. */
  readonly #dueMs = new Map<Expiring, number>();
  readonly #durationMs: number;
  readonly #maxSize: number;
  readonly #clock: DeadlineClock;
  #cancel: (() => void) | undefined;

  constructor(
    durationMs: number,
    { maxSize = Number.POSITIVE_INFINITY, clock = MACHINE_CLOCK }: DeadlineQueueOptions = {},
  ) {
    this.#durationMs = durationMs;
    this.#maxSize = maxSize;
    this.#clock = clock;
  }

  /** Starts the deadline of an item. An item that has one gets a new one. */
  add(item: Expiring): void {
    this.#dueMs.delete(item);
    if (this.#dueMs.size >= this.#maxSize) this.#expireOldest();
    this.#dueMs.set(item, this.#clock.nowMs() + this.#durationMs);
    this.#wait(this.#durationMs);
  }

  /** Without effect for an item without deadline. */
  remove(item: Expiring): void {
    if (!this.#dueMs.delete(item) || this.#dueMs.size > 0) return;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #wait(durationMs: number): void {
    this.#cancel ??= this.#clock.after(durationMs, () => this.#sweep());
  }

  #expireOldest(): void {
    const [oldest] = this.#dueMs.keys();
    if (oldest === undefined) return;
    this.#dueMs.delete(oldest);
    oldest.expire();
  }

  #sweep(): void {
    this.#cancel = undefined;
    const currentMs = this.#clock.nowMs();
    for (const [item, dueMs] of this.#dueMs) {
      if (dueMs > currentMs) {
        this.#wait(dueMs - currentMs);
        return;
      }
      this.#dueMs.delete(item);
      item.expire();
    }
  }
}
