// The interfaces between the layers of a connection: socket, swarm key, Noise, muxer, stream. A layer is a plain object
// that hands bytes up and down with direct calls. There is no event, promise, timer or new buffer for a frame, because
// their cost, not that of the cryptography, limits a relay.
//
// Rules that every layer follows:
// - Bytes that are handed up stay as they are until `onReadEnd`, so that a muxer can join pieces of one read. Above a muxer
//   they are valid only during the call. Who needs them later copies them. They may be changed in place.
// - Everything in the buffer before `start` is spent: the receiver may overwrite it, for example with the part of a message
//   that it kept, or with the header of a frame that it forwards. It must not expect a minimum of such bytes.
// - A layer may replace the `sink` of the layer below while it receives bytes. The rest of those bytes is its own to pass on.
// - Small writes are not flushed one by one: what is written during a read is sent at the end of it, other bytes in a
//   microtask (see `write-pool.ts`).
// - After `abort`, `onClose` follows once, synchronously, and no other call. A layer passes it up.

/** Receives what a layer hands up. */
export interface ByteSink {
  /** New bytes: `buffer[start..end)`, at least one. */
  onBytes(buffer: Buffer, start: number, end: number): void;
  /** All bytes of one read of the socket have been handed up. What was collected is passed on now. */
  onReadEnd(): void;
  /** The layer below accepts bytes again; called once after `isBlocked` was true. */
  onWritable(): void;
  /** The connection is over; the last call. Without error: the other side, or we, closed it in order. */
  onClose(error: Error | undefined): void;
}

/** A layer as the one above sees it: bytes in both directions. */
export interface ByteDuplex {
  sink: ByteSink;
  /**
   * Sends `buffer[start..end)`. The bytes are copied or encrypted before the call returns, and `buffer` is not changed.
   * Also a blocked layer accepts them; above a maximum of unsent bytes the connection is aborted.
   */
  write(buffer: Buffer, start: number, end: number): void;
  /** Whether bytes wait for the socket. Who can wait does; `onWritable` follows. */
  readonly isBlocked: boolean;
  /** Bytes that were written and have not reached the kernel. */
  readonly unsentBytes: number;
  /** Stops reading. Bytes of the read that is under way are still handed up. */
  pause(): void;
  resume(): void;
  /** Sends what was written, then closes. */
  end(): void;
  /** Discards what is unsent and closes. `onClose` gets the error. */
  abort(error: Error): void;
}

/**
 * A layer into whose outgoing block the one above writes directly, so that a message is encrypted to the place from which
 * the socket sends it: `reserve`, write at `out[at]`, `commit`.
 */
export interface BlockDuplex extends ByteDuplex {
  /** The outgoing block. Valid after `reserve`, until the next call. */
  readonly out: Buffer;
  /** Where the next bytes belong in `out`. */
  readonly at: number;
  /**
   * Reserves `length` contiguous bytes, at most `MAX_RESERVE_BYTES`. No method of any connection is called between
   * this and `commit`, because it may send what others have collected.
   */
  reserve(length: number): void;
  /** The `length` bytes at `at` are written. */
  commit(length: number): void;
  /** Changes outgoing bytes, once for all that are sent together. Set by the swarm key layer. */
  filter: OutFilter | undefined;
}

/** Changes outgoing bytes just before they are sent. */
export interface OutFilter {
  /**
   * Writes the changed bytes of `buffer[start..end)` to the start of `target`, which may be the same memory as `buffer`
   * if `start` is 0.
   */
  onFlush(buffer: Buffer, start: number, end: number, target: Buffer): void;
}

/** Maximum of one `reserve`, in bytes: a Noise message of the maximum size, with its length. */
export const MAX_RESERVE_BYTES = 65_535 + 2;

/** Why a stream has ended. `connection`: its connection was lost. */
export type StreamEnd = 'closed' | 'reset' | 'connection';

/** Receives what a stream hands up. The rules for bytes are those of `ByteSink`. */
export interface StreamSink {
  onData(buffer: Buffer, start: number, end: number): void;
  /** The other side has closed its direction: no more data. */
  onRemoteEnd(): void;
  /** All written bytes were accepted by the connection; called once after `write` returned false. */
  onWritable(): void;
  /** The stream is over in both directions; the last call. */
  onClose(end: StreamEnd): void;
}

/** A stream of a muxer. */
export interface WireStream {
  /** Until it is set, data waits in the stream, within its window. */
  sink: StreamSink | undefined;
  readonly id: number;
  /** Whether the other side opened it. */
  readonly isInbound: boolean;
  /** For debugging and for the limits of the owner. */
  readonly session: MuxSession;
  readonly isOpen: boolean;
  /** Whether the other side has closed its direction; its last bytes may still wait here. */
  readonly isRemoteEnded: boolean;
  /**
   * Sends or queues `buffer[start..end)`. Returns false when bytes wait for the window or for the socket. A stream that has
   * ended, or whose direction is closed, discards them.
   */
  write(buffer: Buffer, start: number, end: number): boolean;
  /** Written bytes that wait. */
  readonly queuedBytes: number;
  /** Received bytes that wait, because the stream is paused. */
  readonly waitingBytes: number;
  /** Closes our direction after the written bytes. */
  closeWrite(): void;
  /** Ends both directions at once. */
  reset(): void;
  pause(): void;
  resume(): void;
  /**
   * Leaves the stream to a lane, from the next byte on. What was written before is sent first; what waits is handed up when
   * the stream is resumed. The stream must be open.
   */
  toLaneEnd(listener: LaneListener): LaneEnd;
}

/** What happens on one end of a lane. */
export interface LaneListener {
  onData(buffer: Buffer, start: number, end: number): void;
  /** The device takes more bytes: `capacity` has grown, or the socket accepts bytes again. */
  onCapacity(): void;
  /** The device has closed its direction, after all its data. */
  onRemoteEnd(): void;
  /** The stream is over without an orderly close: it was reset, or its connection was lost. The last call. */
  onReset(end: StreamEnd): void;
}

/**
 * One end of a lane, which joins two streams without their objects: payload goes from one connection to the other. It is a
 * stream of yamux, of mplex, or of something else that carries circuits.
 */
export interface LaneEnd {
  /**
   * Bytes that `send` takes now without queueing them: what the device lets us send, and while its socket is blocked, not
   * more than a small amount of unsent bytes.
   */
  readonly capacity: number;
  /** Whether bytes wait for the socket of the device. */
  readonly isBlocked: boolean;
  /** Whether what the device sends after a grant arrives only after a noticeable round trip. */
  readonly isDistant: boolean;
  /** Sends `buffer[start..end)`. It is sealed at once, so the header may overwrite the bytes before `start`. At most `capacity` bytes. */
  send(buffer: Buffer, start: number, end: number): void;
  /** Bytes that the device of this end may still send: its credit. Infinite without flow control for streams. */
  readonly credit: number;
  /** Lets the device send `bytes` more. Without flow control for streams: reads on. */
  grant(bytes: number): void;
  /** Stops the device if there is no credit that does: its socket is not read until `release`. */
  hold(): void;
  release(): void;
  /** Closes our direction. */
  closeWrite(): void;
  reset(): void;
}

/** Receives the streams that the other side opens, and the end of the session. */
export interface SessionOwner {
  onStream(stream: WireStream): void;
  /** The last call. All streams have ended before. */
  onClose(error: Error | undefined): void;
}

/** A muxer on one connection. It is the sink of the layer below. */
export interface MuxSession extends ByteSink {
  /** The protocol name of the muxer. */
  readonly protocol: string;
  readonly owner: SessionOwner;
  readonly below: ByteDuplex;
  readonly isOpen: boolean;
  /** Number of open streams of both directions. */
  readonly streamCount: number;
  /** How often the socket has accepted all bytes after it was blocked, for a check for connections that are stuck. */
  readonly drains: number;
  /** Opens a stream; `undefined` when the session is closed or has the maximum of its own streams. */
  openStream(): WireStream | undefined;
  /** Streams of both directions, for loops over all. */
  streams(): Iterable<WireStream>;
  /** Tells the other side, sends what is queued, and closes. */
  close(): void;
  abort(error: Error): void;
}
