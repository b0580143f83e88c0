// Two ends of a connection in memory, for tests of the layers in `services/wire`. It keeps to the rules of `layers.ts` in
// the way that shows mistakes: reads have any size, the shared read buffer and the sent block are overwritten after use,
// and a sink that writes behind the bytes that it was given fails the test.
import type { BlockDuplex, ByteSink, OutFilter } from '../services/wire/layers.ts';
import { MAX_RESERVE_BYTES } from '../services/wire/layers.ts';

/** The bytes of a buffer that must not be used any more. */
const POISON = 0xdb;

/** The byte behind the bytes of a read. It belongs to somebody else. */
const GUARD = 0xa7;

/** Default number of bytes before the first byte of a read: none of them has to be there. */
const HEADROOM_BYTES = 64;

/** Size of the outgoing block, in bytes. */
const BLOCK_BYTES = 4 * MAX_RESERVE_BYTES;

export interface PipeOptions {
  /** Maximum of the next read, in bytes; at least 1. Default: all bytes that were sent. */
  readonly readBytes?: () => number;
  /** Splits each read into pieces of this size, each handed up by a call of its own. Default: one piece. */
  readonly pieceBytes?: () => number;
  /** Spent bytes before the first byte of a read. Default 64. */
  readonly headroomBytes?: () => number;
  /** Unread bytes above which an end is blocked, until all of them are read. Default: never. */
  readonly blockedAboveBytes?: number;
  /** Whether bytes move only in `run`. By default they move in microtasks, one read at a time. */
  readonly isManual?: boolean;
}

export interface BytePipe {
  readonly a: PipeEnd;
  readonly b: PipeEnd;
  /** Moves bytes until both ends are quiet. Returns whether anything has moved. */
  run(): boolean;
}

/** Creates two connected ends. Set the sinks of both before bytes move. */
export function createBytePipe(options: PipeOptions = {}): BytePipe {
  const schedule = options.isManual === true ? () => {} : (work: () => void) => queueMicrotask(work);
  const a = new PipeEnd(options, schedule);
  const b = new PipeEnd(options, schedule);
  a.connect(b);
  b.connect(a);
  return {
    a,
    b,
    run() {
      let hasMoved = false;
      for (let isBusy = true; isBusy;) {
        const movedA = a.move();
        isBusy = b.move() || movedA;
        hasMoved ||= isBusy;
      }
      return hasMoved;
    },
  };
}

/** One end of the pipe. */
export class PipeEnd implements BlockDuplex {
  sink: ByteSink = noSink;
  out = Buffer.alloc(0);
  at = 0;
  filter: OutFilter | undefined = undefined;
  isBlocked = false;
  isPaused = false;
  isClosed = false;
  /** How often bytes were sent. What is written during a read is sent once, at the end of it. */
  flushes = 0;
  /** All bytes that were sent, if the test sets it to an empty list. */
  sent: Buffer[] | undefined = undefined;
  readonly #options: PipeOptions;
  readonly #schedule: (work: () => void) => void;
  #other!: PipeEnd;
  #reserved = 0;
  /** Bytes that the other end has sent and this one has not read. */
  readonly #arrived: Buffer[] = [];
  /** Bytes of the first of them that were read. */
  #readBytes = 0;
  #arrivedBytes = 0;
  #hasEnded = false;
  #isReading = false;
  #isScheduled = false;
  #error: Error | undefined;

  constructor(options: PipeOptions, schedule: (work: () => void) => void) {
    this.#options = options;
    this.#schedule = schedule;
  }

  connect(other: PipeEnd): void {
    this.#other = other;
  }

  get unsentBytes(): number {
    return this.at + this.#other.#arrivedBytes;
  }

  write(buffer: Buffer, start: number, end: number): void {
    for (let from = start; from < end;) {
      const length = Math.min(end - from, MAX_RESERVE_BYTES);
      this.reserve(length);
      buffer.copy(this.out, this.at, from, from + length);
      this.commit(length);
      from += length;
    }
  }

  reserve(length: number): void {
    if (length > MAX_RESERVE_BYTES) throw new RangeError(`${length} bytes were reserved at once.`);
    if (this.at + length > this.out.length) this.flush();
    if (this.out.length === 0) this.out = Buffer.alloc(BLOCK_BYTES, POISON);
    this.#reserved = length;
  }

  commit(length: number): void {
    if (length > this.#reserved)
      throw new RangeError(`${length} bytes were written, ${this.#reserved} reserved.`);
    this.#reserved = 0;
    this.at += length;
    this.#wake();
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    this.#wake();
  }

  end(): void {
    if (this.#hasEnded || this.isClosed) return;
    this.flush();
    this.#hasEnded = true;
    this.#wake();
    this.#other.#wake();
  }

  abort(error: Error): void {
    if (this.isClosed) return;
    this.#other.#error ??= new Error('The other end was aborted.');
    this.#other.#wake();
    this.#close(error);
  }

  /** Sends the outgoing block. */
  flush(): void {
    const { out, at } = this;
    const other = this.#other;
    this.out = Buffer.alloc(0);
    this.at = 0;
    this.#reserved = 0;
    if (at === 0 || this.isClosed || this.#hasEnded) return;
    this.flushes += 1;
    this.filter?.onFlush(out, 0, at, out);
    const bytes = Buffer.from(out.subarray(0, at));
    out.fill(POISON);
    this.sent?.push(bytes);
    other.#arrive(bytes);
    this.isBlocked ||= other.#arrivedBytes > (this.#options.blockedAboveBytes ?? Infinity);
  }

  /** Sends what was written, and reads once. Returns whether something has moved. */
  move(): boolean {
    if (this.isClosed) return false;
    const hasSent = this.at > 0;
    this.flush();
    if (this.#error !== undefined) this.#close(this.#error);
    else if (this.#arrivedBytes > 0 && !this.isPaused) this.#read();
    else if (this.#arrivedBytes > 0 || !this.#other.#hasEnded) return hasSent;
    // The other end sends no more. This one answers in kind; both are closed when both have read all.
    else if (!this.#hasEnded) this.end();
    else if (this.#other.#arrivedBytes > 0) return hasSent;
    else this.#close(undefined);
    return true;
  }

  #arrive(bytes: Buffer): void {
    if (this.isClosed) return;
    this.#arrived.push(bytes);
    this.#arrivedBytes += bytes.length;
    this.#wake();
  }

  #read(): void {
    const { readBytes, headroomBytes } = this.#options;
    const length = Math.min(this.#arrivedBytes, Math.max(1, readBytes?.() ?? this.#arrivedBytes));
    const headroom = headroomBytes?.() ?? HEADROOM_BYTES;
    const buffer = Buffer.alloc(headroom + length + 1, POISON);
    for (let at = headroom; at < headroom + length;) {
      const first = this.#arrived[0] ?? buffer;
      const count = Math.min(headroom + length - at, first.length - this.#readBytes);
      first.copy(buffer, at, this.#readBytes, this.#readBytes + count);
      at += count;
      this.#readBytes += count;
      if (this.#readBytes < first.length) continue;
      this.#arrived.shift();
      this.#readBytes = 0;
    }
    this.#arrivedBytes -= length;
    buffer[headroom + length] = GUARD;
    this.#isReading = true;
    try {
      this.#handUp(buffer, headroom, headroom + length);
    } finally {
      this.#isReading = false;
    }
    if (buffer.at(-1) !== GUARD) throw new Error('The sink has overwritten bytes behind those of the read.');
    buffer.fill(POISON);
    if (this.at > 0) this.flush();
    this.#other.#drain();
    this.#other.#wake();
    this.#wake();
  }

  #handUp(buffer: Buffer, start: number, end: number): void {
    const { pieceBytes } = this.#options;
    for (let from = start; from < end && !this.isClosed;) {
      const to = Math.min(end, from + Math.max(1, pieceBytes?.() ?? end));
      const guarded = buffer[to];
      this.sink.onBytes(buffer, from, to);
      if (buffer[to] !== guarded) throw new Error('The sink has overwritten bytes behind those of the call.');
      from = to;
    }
    if (!this.isClosed) this.sink.onReadEnd();
  }

  /** The other end has read bytes of this one. */
  #drain(): void {
    if (!this.isBlocked || this.isClosed || this.#other.#arrivedBytes > 0) return;
    this.isBlocked = false;
    this.sink.onWritable();
    this.#wake();
  }

  #close(error: Error | undefined): void {
    this.isClosed = true;
    this.out = Buffer.alloc(0);
    this.at = 0;
    this.#arrived.length = 0;
    this.#arrivedBytes = 0;
    this.sink.onClose(error);
    this.#other.#wake();
  }

  #wake(): void {
    if (this.#isScheduled || this.#isReading || this.isClosed) return;
    this.#isScheduled = true;
    this.#schedule(() => {
      this.#isScheduled = false;
      this.move();
    });
  }
}

const noSink: ByteSink = {
  onBytes() {
    throw new Error('The end of the pipe has no sink.');
  },
  onReadEnd() {},
  onWritable() {},
  onClose() {},
};
