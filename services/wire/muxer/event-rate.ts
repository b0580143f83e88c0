// A limit on the rate of events that are too cheap to read the clock for each of them.

const SECOND_MS = 1000;

/**
 * Counts events, and finds more than `maxPerSecond` of them within one second. The clock is read only after as many, so
 * a burst of up to twice the maximum may pass after a quiet time.
 */
export class EventRate {
  readonly #maxPerSecond: number;
  readonly #nowMs: () => number;
  #sinceMs: number;
  #count = 0;

  constructor(maxPerSecond: number, nowMs: () => number) {
    this.#maxPerSecond = maxPerSecond;
    this.#nowMs = nowMs;
    this.#sinceMs = nowMs();
  }

  /** Counts an event. Returns false when there were too many. */
  allows(): boolean {
    this.#count += 1;
    if (this.#count <= this.#maxPerSecond) return true;
    const currentMs = this.#nowMs();
    if (currentMs - this.#sinceMs < SECOND_MS) return false;
    this.#sinceMs = currentMs;
    this.#count = 1;
    return true;
  }

  /** Allows one more event, because of something that is answered by one. The credit is limited to one second's events. */
  expectOne(): void {
    if (this.#count > -this.#maxPerSecond) this.#count -= 1;
  }
}
