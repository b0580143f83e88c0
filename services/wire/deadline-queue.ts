// Deadlines of many connections with the same duration, such as for the end of those that close. One timer for the oldest
// one is enough.
import { monotonicMs } from '../shared/clock.ts';

/** Something with a deadline. */
export interface Expiring {
  /** The deadline has passed, or there are too many with later ones. */
  expire(): void;
}

export class DeadlineQueue {
  /** In order of their deadlines. */
  readonly #dueMs = new Map<Expiring, number>();
  readonly #durationMs: number;
  readonly #maxSize: number;
  #timer: NodeJS.Timeout | undefined;

  /** @param maxSize above it the oldest one expires at once */
  constructor(durationMs: number, maxSize: number) {
    this.#durationMs = durationMs;
    this.#maxSize = maxSize;
  }

  add(expiring: Expiring): void {
    if (this.#dueMs.size >= this.#maxSize) this.#expireOldest();
    this.#dueMs.set(expiring, monotonicMs() + this.#durationMs);
    if (this.#timer === undefined) this.#schedule();
  }

  remove(expiring: Expiring): void {
    if (!this.#dueMs.delete(expiring) || this.#dueMs.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #expireOldest(): void {
    const [oldest] = this.#dueMs.keys();
    if (oldest === undefined) return;
    this.#dueMs.delete(oldest);
    oldest.expire();
  }

  #schedule(): void {
    const [dueMs] = this.#dueMs.values();
    // After an immediate, everything that arrived until the deadline is read.
    this.#timer =
      dueMs === undefined
        ? undefined
        : setTimeout(() => setImmediate(() => this.#sweep()), Math.max(0, dueMs - monotonicMs()));
  }

  #sweep(): void {
    // All may have been removed since, and others added, which have a timer of their own.
    if (this.#timer === undefined) return;
    const currentMs = monotonicMs();
    for (const [, dueMs] of this.#dueMs) {
      if (dueMs > currentMs) break;
      this.#expireOldest();
    }
    clearTimeout(this.#timer);
    this.#schedule();
  }
}
