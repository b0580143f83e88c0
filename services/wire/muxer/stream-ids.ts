// The ids of streams that the other side has used, so that no id is used twice.

/**
 * Maximum ids that were left out and may still be used. A client may assign ids in order and send the first frames in
 * another order; it has at most a few hundred streams. A multiple of 32.
 */
const MAX_SKIPPED_IDS = 1024;

/**
 * The ids that one side assigns: a first one, then in steps. An id costs the same however far it is from the others: whoever
 * leaves out many with each new stream gains nothing.
 */
export class StreamIds {
  readonly #first: number;
  readonly #step: number;
  /** Index of the next id: ids have the indexes 0, 1, 2 and so on. */
  #next = 0;
  /**
   * A bit for each of the last `MAX_SKIPPED_IDS` indexes below `#next`, at the index modulo their number: 1 if it was left
   * out. Most clients leave out none.
   */
  #skipped: Uint32Array | undefined;

  constructor(first: number, step: number) {
    this.#first = first;
    this.#step = step;
  }

  /** Marks an id as used. Returns false when it was used before, or is too old to tell. */
  use(id: number): boolean {
    const index = (id - this.#first) / this.#step;
    if (index < this.#next) return this.#useSkipped(index);
    if (index > this.#next) this.#skip(this.#next, index);
    this.#setBit(index, false);
    this.#next = index + 1;
    return true;
  }

  #useSkipped(index: number): boolean {
    if (this.#skipped === undefined || index < this.#next - MAX_SKIPPED_IDS) return false;
    const bit = index % MAX_SKIPPED_IDS;
    if ((((this.#skipped[bit >>> 5] ?? 0) >>> (bit & 31)) & 1) === 0) return false;
    this.#setBit(index, false);
    return true;
  }

  /** Marks the indexes from `from` to below `to` as left out. */
  #skip(from: number, to: number): void {
    this.#skipped ??= new Uint32Array(MAX_SKIPPED_IDS / 32);
    if (to - from >= MAX_SKIPPED_IDS) this.#skipped.fill(0xffff_ffff);
    else for (let index = from; index < to; index += 1) this.#setBit(index, true);
  }

  #setBit(index: number, isSkipped: boolean): void {
    const bits = this.#skipped;
    if (bits === undefined) return;
    const bit = index % MAX_SKIPPED_IDS;
    const mask = 1 << (bit & 31);
    const word = bits[bit >>> 5] ?? 0;
    bits[bit >>> 5] = isSkipped ? word | mask : word & ~mask;
  }
}
