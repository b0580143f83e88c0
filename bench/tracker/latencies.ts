// The durations of the operations of a run, without an object or a boxed number for each.

/** Number of durations with which the list starts. */
const START_LENGTH = 4_096;

export class Latencies {
  #values = new Float64Array(START_LENGTH);
  #count = 0;

  add(milliseconds: number): void {
    if (this.#count === this.#values.length) {
      const longer = new Float64Array(this.#count * 2);
      longer.set(this.#values);
      this.#values = longer;
    }
    this.#values[this.#count] = milliseconds;
    this.#count += 1;
  }

  get count(): number {
    return this.#count;
  }

  /** In milliseconds, in the order in which they were added. */
  toArray(): number[] {
    return Array.from(this.#values.subarray(0, this.#count));
  }
}
