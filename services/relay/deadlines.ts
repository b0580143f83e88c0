// Deadlines of one duration for many items. They are due in the order in which they were added, so only the first one
// waits on the clock, however many there are.
import type { LoopClock } from '../shared/loop-clock.ts';

export interface WithDeadline {
  /** The deadline has passed, and the item is removed. */
  onDeadline(): void;
}

export class Deadlines {
  readonly #durationMs: number;
  readonly #clock: Pick<LoopClock, 'nowMs' | 'after'>;
  /** The times at which they are due, in order. */
  readonly #dueMs = new Map<WithDeadline, number>();
  #cancel: (() => void) | undefined;

  constructor(durationMs: number, clock: Pick<LoopClock, 'nowMs' | 'after'>) {
    this.#durationMs = durationMs;
    this.#clock = clock;
  }

  /** Starts the deadline of an item. An item that has one gets a new one. */
  add(item: WithDeadline): void {
    this.#dueMs.delete(item);
    this.#dueMs.set(item, this.#clock.nowMs() + this.#durationMs);
    this.#cancel ??= this.#clock.after(this.#durationMs, () => this.#sweep());
  }

  /** Without effect for an item without deadline. */
  remove(item: WithDeadline): void {
    if (!this.#dueMs.delete(item) || this.#dueMs.size > 0) return;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #sweep(): void {
    this.#cancel = undefined;
    const currentMs = this.#clock.nowMs();
    for (const [item, dueMs] of this.#dueMs) {
      if (dueMs > currentMs) {
        this.#cancel ??= this.#clock.after(dueMs - currentMs, () => this.#sweep());
        return;
      }
      this.#dueMs.delete(item);
      item.onDeadline();
    }
  }
}
