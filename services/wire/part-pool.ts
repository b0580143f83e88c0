// Buffers for the incomplete message that a connection keeps between two reads. A busy connection keeps one after almost
// every read, so they are reused; an idle connection has none.

/**
 * Sizes of the buffers, in bytes. A connection holds at most four times of what its device has sent: with large buffers only,
 * two bytes of each of 10,000 devices would take 640 MB. The last one fits the largest Noise message with its length.
 */
const SIZES = [256, 1024, 4096, 16_384, 65_537];

/** Maximum unused buffers of each size. Further ones are left to the garbage collector. */
const MAX_UNUSED = 16;

/** Maximum length of a part, in bytes. */
export const MAX_PART_BYTES = 65_537;

export class PartPool {
  readonly #unused: Buffer[][] = SIZES.map(() => []);

  /** Returns a buffer with at least `length` bytes. @throws RangeError above `MAX_PART_BYTES` */
  take(length: number): Buffer {
    for (let index = 0; index < SIZES.length; index += 1) {
      const size = SIZES[index] ?? 0;
      if (size >= length) return this.#unused[index]?.pop() ?? Buffer.allocUnsafeSlow(size);
    }
    throw new RangeError(`A part has at most ${MAX_PART_BYTES} bytes; ${length} were requested.`);
  }

  /** Takes a buffer back. The caller must not use it any more. */
  give(buffer: Buffer): void {
    const unused = this.#unused[SIZES.indexOf(buffer.length)];
    if (unused !== undefined && unused.length < MAX_UNUSED) unused.push(buffer);
  }
}
