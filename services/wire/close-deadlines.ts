// Deadlines of connections that close: the rest of the bytes is sent and the other side closes too, or the connection is
// cut. All have the same duration, so one timer for the oldest one is enough.
import { monotonicMs } from '../shared/clock.ts';

/** Maximum time for a connection to close in order, in milliseconds. */
const CLOSE_MS = 2_000;

/** A connection that closes. */
export interface Closing {
  /** Closes it at once. */
  cut(): void;
}

export class CloseDeadlines {
  /** In order of their deadlines. */
  readonly #dueMs = new Map<Closing, number>();
  readonly #closeMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(closeMs: number = CLOSE_MS) {
    this.#closeMs = closeMs;
  }

  add(closing: Closing): void {
    this.#dueMs.set(closing, monotonicMs() + this.#closeMs);
    if (this.#timer === undefined) this.#schedule();
  }

  remove(closing: Closing): void {
    if (!this.#dueMs.delete(closing) || this.#dueMs.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #schedule(): void {
    const [dueMs] = this.#dueMs.values();
    this.#timer =
      dueMs === undefined ? undefined : setTimeout(() => this.#sweep(), Math.max(0, dueMs - monotonicMs()));
  }

  #sweep(): void {
    const currentMs = monotonicMs();
    for (const [closing, dueMs] of this.#dueMs) {
      if (dueMs > currentMs) break;
      this.#dueMs.delete(closing);
      closing.cut();
    }
    this.#schedule();
  }
}
