// What all connections of a process share: the buffer that sockets read into, the blocks that they send from, the queue
// of connections with bytes to send, and the deadlines of those that close.
import { DeadlineQueue } from '../shared/deadline-queue.ts';
import { FlushQueue } from './flush-queue.ts';
import { ReadBuffer, type ReadBufferOptions } from './read-buffer.ts';
import { WritePool } from './write-pool.ts';

/** Maximum time for a connection to close in order, in milliseconds. */
const CLOSE_MS = 2_000;

/** Maximum connections that close in order at the same time. Further ones cut the oldest. */
const MAX_CLOSING = 100_000;

export interface WireIo {
  readonly reads: ReadBuffer;
  readonly pool: WritePool;
  readonly flushes: FlushQueue;
  readonly closing: DeadlineQueue;
}

export interface WireIoOptions extends ReadBufferOptions {
  /** Maximum time for a connection to close in order, in milliseconds. Default 2,000. */
  readonly closeMs?: number;
}

/** Creates the one of a process: `main` passes it down. */
export function createWireIo(options: WireIoOptions = {}): WireIo {
  return {
    reads: new ReadBuffer(options),
    pool: new WritePool(),
    flushes: new FlushQueue(),
    closing: new DeadlineQueue(options.closeMs ?? CLOSE_MS, { maxSize: MAX_CLOSING }),
  };
}
