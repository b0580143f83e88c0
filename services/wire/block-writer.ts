// The outgoing half of a connection: collects messages in a block, changes the block with the filter (the swarm key) and
// sends it. While the connection is blocked, what is written waits here, not in the queue of the socket, where every small
// message would need a buffer of its own.
import type { BlockDuplex, ByteSink, OutFilter } from './layers.ts';
import type { WireIo } from './wire-io.ts';
import { LARGEST_BLOCK_BYTES, MAX_COLLECTING, MAX_MOVED_BYTES } from './write-pool.ts';

/** No block. It is too small for every message, so `reserve` takes one. */
const NO_BLOCK = Buffer.alloc(0);

/** A block that waits while the connection is blocked. */
interface WaitingBlock {
  readonly block: Buffer;
  readonly length: number;
}

/** The other side accepts too few of the bytes that are written to it. */
export class UnsentBytesError extends Error {
  override readonly name = 'UnsentBytesError';
  readonly code = 'UNSENT_BYTES';

  constructor(maxBytes: number) {
    super(`More than ${maxBytes} bytes wait to be sent, because the other side does not read them.`);
  }
}

/** Fields are public where that makes them fast: there is one such object for each connection. */
export abstract class BlockWriter implements BlockDuplex {
  readonly io: WireIo;
  readonly #maxUnsentBytes: number;
  out: Buffer = NO_BLOCK;
  at = 0;
  filter: OutFilter | undefined;
  isBlocked = false;
  abstract sink: ByteSink;
  /** Whether the queue of flushes contains this connection. */
  #isDirty = false;
  /** Whether `out` is one of the few blocks in which messages are collected, and not one that waits. */
  #isCollecting = false;
  /** Whether writes have no effect, although what waits is still sent. */
  #isEnded = false;
  /** Whether nothing is sent anymore. */
  #isOver = false;
  /** The block that `send` did not accept at once. */
  #sending: Buffer = NO_BLOCK;
  #sendingBytes = 0;
  readonly #waiting: WaitingBlock[] = [];
  #waitingBytes = 0;

  constructor(io: WireIo, maxUnsentBytes: number) {
    this.io = io;
    this.#maxUnsentBytes = maxUnsentBytes;
  }

  /** Sends the bytes. Returns whether they were accepted at once; otherwise `sent` must be called when they are. */
  protected abstract send(bytes: Buffer): boolean;
  /** All bytes are sent, after the connection was blocked. */
  protected abstract drained(): void;
  abstract pause(): void;
  abstract resume(): void;
  abstract end(): void;
  abstract abort(error: Error): void;

  get unsentBytes(): number {
    return this.#isOver ? 0 : this.#sendingBytes + this.#waitingBytes + this.at;
  }

  reserve(length: number): void {
    if (this.at + length > this.out.length) this.#makeSpace(length);
  }

  commit(length: number): void {
    if (this.#isEnded) return;
    this.at += length;
    if (this.isBlocked) {
      if (this.unsentBytes > this.#maxUnsentBytes) this.fail(new UnsentBytesError(this.#maxUnsentBytes));
    } else if (!this.#isDirty) {
      this.#isDirty = true;
      this.io.flushes.add(this);
    }
  }

  write(buffer: Buffer, start: number, end: number): void {
    for (let from = start; from < end && !this.#isEnded;) {
      const length = Math.min(end - from, LARGEST_BLOCK_BYTES);
      this.reserve(length);
      buffer.copy(this.out, this.at, from, from + length);
      this.commit(length);
      from += length;
    }
  }

  /** Sends what was collected, unless the connection is blocked. */
  flush(): void {
    this.#isDirty = false;
    if (this.isBlocked || this.#isOver || this.at === 0) return;
    const { out, at } = this;
    this.#leaveBlock();
    this.#sendBlock(out, at, at <= MAX_MOVED_BYTES ? this.io.pool.take(at) : out);
  }

  /** What `send` did not accept at once is sent. */
  protected sent(): void {
    if (this.#isOver) return;
    this.io.pool.give(this.#sending);
    this.#sending = NO_BLOCK;
    this.#sendingBytes = 0;
    this.isBlocked = false;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      this.#waitingBytes -= next.length;
      this.#sendBlock(next.block, next.length, next.block);
      if (this.isBlocked || this.#isOver) return;
    }
    const { out, at } = this;
    this.#leaveBlock();
    if (at > 0) this.#sendBlock(out, at, out);
    if (!this.isBlocked && !this.#isOver) this.drained();
  }

  /** Later writes have no effect. */
  protected endWrites(): void {
    this.#isEnded = true;
  }

  /** Releases all blocks. Nothing is sent anymore. */
  protected stopWriting(): void {
    this.#isEnded = true;
    if (this.#isOver) return;
    const { out } = this;
    this.#leaveBlock();
    this.io.pool.give(out);
    for (const { block } of this.#waiting) this.io.pool.give(block);
    this.#waiting.length = 0;
    // The system may still read the block that is being sent, so nobody else gets it.
    this.#sending = NO_BLOCK;
    this.#isOver = true;
    this.isBlocked = false;
    this.out = this.io.pool.discarded;
  }

  /** Takes the block away from `out`. */
  #leaveBlock(): void {
    if (this.#isCollecting) this.io.pool.collecting -= 1;
    this.#isCollecting = false;
    this.out = NO_BLOCK;
    this.at = 0;
  }

  /** Ends the connection soon, and not now: the layer that writes is in the middle of its work. */
  protected fail(error: Error): void {
    this.stopWriting();
    queueMicrotask(() => this.abort(error));
  }

  #makeSpace(length: number): void {
    if (!this.isBlocked && this.at > 0) this.flush();
    if (this.#isOver) return;
    const { pool, flushes } = this.io;
    if (this.isBlocked) {
      this.#extend(length);
      return;
    }
    if (pool.collecting >= MAX_COLLECTING) flushes.flush();
    if (this.out !== NO_BLOCK) return;
    pool.collecting += 1;
    this.#isCollecting = true;
    this.out = pool.take(LARGEST_BLOCK_BYTES);
  }

  /** More space for what waits: a larger block, or a further one. */
  #extend(length: number): void {
    const { pool } = this.io;
    const { out, at } = this;
    const isFurther = at + length > LARGEST_BLOCK_BYTES;
    const larger = pool.take(isFurther ? length : at + length);
    this.out = larger;
    if (out === NO_BLOCK) return;
    if (isFurther) {
      this.#waiting.push({ block: out, length: at });
      this.#waitingBytes += at;
      this.at = 0;
    } else {
      out.copy(larger, 0, 0, at);
      pool.give(out);
    }
  }

  /** @param target the block that is sent: `block`, or a smaller one */
  #sendBlock(block: Buffer, length: number, target: Buffer): void {
    const { pool } = this.io;
    try {
      if (this.filter !== undefined) this.filter.onFlush(block, 0, length, target);
      else if (target !== block) block.copy(target, 0, 0, length);
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    if (target !== block) pool.give(block);
    if (this.send(target.subarray(0, length))) {
      pool.give(target);
      return;
    }
    this.#sending = target;
    this.#sendingBytes = length;
    this.isBlocked = true;
  }
}
