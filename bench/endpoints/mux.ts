// What yamux and mplex have in common: a session on a connection, with streams that are pipes.
import type { Pipe, Receiver } from './pipe.ts';

export interface MuxStream extends Pipe {
  /** Bytes that the other side takes now. A sender of bulk data stays below it, so that nothing is copied to wait. */
  readonly sendable: number;
}

export interface Session extends Receiver {
  /** Called for each stream that the other side opens. */
  onStream: (stream: MuxStream) => void;
  /** Called once, when the connection has ended. */
  onEnded: (reason?: Error) => void;
  readonly isClosed: boolean;
  openStream(): MuxStream;
  /** Says goodbye and ends the connection. */
  close(): void;
  destroy(): void;
}

/** Maximum data of a frame: with its header it fills one Noise message. */
export const MAX_FRAME_DATA_BYTES = 65_507;
