// The blocks that outgoing bytes are written to. Messages are collected in a large block, which the process has few of;
// what a socket does not accept at once stays in a block of the size of the bytes. So a connection without unsent bytes
// holds no block, and a blocked one holds at most four times its unsent bytes, or the smallest block.

/** Sizes of blocks in bytes. The largest one takes four Noise messages of the maximum size. */
const BLOCK_SIZES: readonly number[] = [1024, 4 * 1024, 16 * 1024, 68 * 1024, 272 * 1024];

/** Size of a block in which messages are collected, in bytes. */
export const LARGEST_BLOCK_BYTES = 272 * 1024;

/** Bytes up to which a collected message is moved to a smaller block before it is sent. */
export const MAX_MOVED_BYTES = 68 * 1024;

/** Unused blocks of one size that are kept, in bytes. Further ones are left to the garbage collector. */
const MAX_KEPT_BYTES = 8 * LARGEST_BLOCK_BYTES;

/** Maximum blocks in which messages are collected at the same time. Before a further one, all are sent. */
export const MAX_COLLECTING = 8;

export class WritePool {
  /** Unused blocks by size class. */
  readonly #unused: Buffer[][] = BLOCK_SIZES.map(() => []);
  /** Where messages for closed connections are written to. Nobody reads it. */
  readonly discarded: Buffer = Buffer.allocUnsafeSlow(LARGEST_BLOCK_BYTES);
  /** Blocks in which messages are collected now. */
  collecting = 0;

  /** A block of at least `length` bytes, at most `LARGEST_BLOCK_BYTES`. Its contents are arbitrary. */
  take(length: number): Buffer {
    let index = 0;
    while ((BLOCK_SIZES[index] ?? Number.POSITIVE_INFINITY) < length) index += 1;
    return this.#unused[index]?.pop() ?? Buffer.allocUnsafeSlow(BLOCK_SIZES[index] ?? length);
  }

  /** Returns a block that nobody refers to. */
  give(block: Buffer): void {
    const unused = this.#unused[BLOCK_SIZES.indexOf(block.length)];
    if (unused !== undefined && unused.length * block.length < MAX_KEPT_BYTES) unused.push(block);
  }
}
