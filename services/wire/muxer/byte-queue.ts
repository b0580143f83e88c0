// Bytes that wait: received ones of a paused stream, or written ones for a window or a socket. They are copied into
// blocks, so that small pieces do not cost an object each.
import { MAX_PAYLOAD_BYTES } from './frame-size.ts';

/** Bytes before the first byte of a block, for the header of a frame. They are spent. */
const HEADROOM_BYTES = 16;

/** Size of the first block of a queue: most waiting bytes are a few small messages. */
const SMALL_BLOCK_BYTES = 4 * 1024;

/** Size of further blocks: they are sent as frames of the maximum size. */
const LARGE_BLOCK_BYTES = MAX_PAYLOAD_BYTES;

/**
 * Maximum free large blocks that the process keeps (2 MiB). A slow receiver lets each byte wait a moment; new blocks for
 * them would keep the garbage collector busy.
 */
const MAX_FREE_BLOCKS = 32;

const freeBlocks: Buffer[] = [];

/** A part of a queue: `buffer[start..end)`. All bytes before `start` are spent. */
export interface QueueBlock {
  readonly buffer: Buffer;
  start: number;
  end: number;
}

/** A queue of bytes, first in, first out. Its owner limits its length. */
export class ByteQueue {
  /** Number of bytes in the queue. */
  length = 0;
  #blocks: QueueBlock[] = [];
  #first = 0;

  /** Copies `buffer[start..end)` to the end. */
  append(buffer: Buffer, start: number, end: number): void {
    this.length += end - start;
    for (let at = start; at < end;) {
      let last = this.#blocks.at(-1);
      if (last === undefined || last.end === last.buffer.length) {
        last = newBlock(this.#blocks.length === this.#first ? end - at : LARGE_BLOCK_BYTES);
        this.#blocks.push(last);
      }
      const count = Math.min(end - at, last.buffer.length - last.end);
      buffer.copy(last.buffer, last.end, at, at + count);
      last.end += count;
      at += count;
    }
  }

  /** The first bytes that are contiguous; `undefined` when the queue is empty. Valid until the next call. */
  first(): QueueBlock | undefined {
    return this.#blocks[this.#first];
  }

  /** Removes `count` bytes of the first block. */
  consume(count: number): void {
    const block = this.#blocks[this.#first];
    if (block === undefined) return;
    block.start += count;
    this.length -= count;
    if (block.start < block.end) return;
    release(block.buffer);
    this.#first += 1;
    if (this.#first === this.#blocks.length) this.#blocks.length = 0;
    else if (this.#first < MAX_FREE_BLOCKS) return;
    else this.#blocks.splice(0, this.#first);
    this.#first = 0;
  }

  /** Discards all bytes. */
  clear(): void {
    for (let index = this.#first; index < this.#blocks.length; index += 1) {
      const block = this.#blocks[index];
      if (block !== undefined) release(block.buffer);
    }
    this.#blocks.length = 0;
    this.#first = 0;
    this.length = 0;
  }
}

function newBlock(bytes: number): QueueBlock {
  const buffer =
    bytes <= SMALL_BLOCK_BYTES - HEADROOM_BYTES
      ? Buffer.allocUnsafeSlow(SMALL_BLOCK_BYTES)
      : (freeBlocks.pop() ?? Buffer.allocUnsafeSlow(HEADROOM_BYTES + LARGE_BLOCK_BYTES));
  return { buffer, start: HEADROOM_BYTES, end: HEADROOM_BYTES };
}

function release(buffer: Buffer): void {
  if (buffer.length > SMALL_BLOCK_BYTES && freeBlocks.length < MAX_FREE_BLOCKS) freeBlocks.push(buffer);
}
