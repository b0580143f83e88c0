// The ids of streams that the other side has used, so that no id is used twice.

/**
 * Maximum ids that were left out and may still be used. A client may assign ids in order and send the first frames in
 * another order; it has at most a few hundred streams.
 */
const MAX_SKIPPED_IDS = 1024;

/** The ids that one side assigns: a first one, then in steps. */
export class StreamIds {
  #next: number;
  readonly #step: number;
  /** Ids below `#next` that were not used; oldest first. Most clients leave out none. */
  #skipped: Set<number> | undefined;

  constructor(first: number, step: number) {
    this.#next = first;
    this.#step = step;
  }

  /** Marks an id as used. Returns false when it was used before, or is too old to tell. */
  use(id: number): boolean {
    if (id < this.#next) return this.#skipped?.delete(id) === true;
    const oldest = Math.max(this.#next, id - MAX_SKIPPED_IDS * this.#step);
    for (let skipped = oldest; skipped < id; skipped += this.#step) {
      this.#skipped ??= new Set();
      this.#skipped.add(skipped);
    }
    this.#next = id + this.#step;
    for (const skipped of this.#skipped ?? []) {
      if ((this.#skipped?.size ?? 0) <= MAX_SKIPPED_IDS) break;
      this.#skipped?.delete(skipped);
    }
    return true;
  }
}
