// What the relay needs of a connection and of its streams. One object exists for each connection, from its acceptance
// on. The members are fields and callbacks and not events, because thousands of idle connections are what a relay
// consists of: listeners, closures and weak maps per connection are most of their memory.
import type { Socket } from 'node:net';
import type { Direction } from './outcomes.ts';

/** The peer at the other end of a connection. */
export interface PeerIdentity {
  /** The canonical text of the peer id. */
  readonly id: string;
  /** The multihash that the peer id consists of, as in messages. */
  readonly multihash: Uint8Array;
}

/** A connection to the relay. */
export interface RelayConnection {
  /** The multiaddr of the other side, for the log. */
  readonly address: string;
  /** The IPv4 address or IPv6 network of the other side, to which limits per address apply. */
  readonly network: string;
  /** Whether it is a circuit through another relay. */
  readonly isRelayed: boolean;
  /** `NOBODY` until the handshake is finished. */
  readonly peer: PeerIdentity;
  /** The protocol of its muxer; empty until the handshake is finished. */
  readonly muxer: string;
  readonly isOpen: boolean;
  /** Time of the last byte on the loop clock, in milliseconds. `liveness` moves it forward while reading is paused. */
  heardAtMs: number;
  /** Reads from the socket. */
  readonly reads: number;
  /** The value of `reads` at which a request was given up as unanswered; `undefined` if there is none. */
  unansweredReads: number | undefined;
  /** How often the socket has accepted all bytes after some had to wait. */
  readonly drains: number;
  /** Whether the relay does not read from it, because a buffer is full. */
  readonly isReadPaused: boolean;
  /** Whether bytes for it wait in the relay. */
  readonly hasUnsentBytes: boolean;
  /** The socket, for the time-outs of the kernel. */
  readonly socket: Socket | undefined;
  /** Whether it has a stream of another protocol than these, or one whose protocol is not chosen yet. */
  hasStreamsExcept(protocols: ReadonlySet<string>): boolean;
  /**
   * Opens a stream. What is written to it is sent when the other side has accepted the protocol.
   *
   * @param maxStreams maximum streams of the protocol that the relay opens on one connection
   * @throws Error when the connection is closed; a stream above the maximum is reset
   */
  openStream(protocol: string, maxStreams: number): RelayStream;
  /** Calls back once when the next bytes arrive. The returned function removes the callback. */
  onNextRead(callback: () => void): () => void;
  /** Calls back once when the connection has closed. The returned function removes the callback. */
  onceClosed(callback: () => void): () => void;
  /** Closes it after its bytes are sent, or after a deadline. */
  close(): void;
  abort(error: Error): void;
}

/** The peer of a connection before the end of its handshake. */
export const NOBODY: PeerIdentity = { id: '', multihash: new Uint8Array() };

/** A message is longer than the reader accepts. The stream is intact, so it can be answered. */
export class MessageTooLongError extends Error {
  override readonly name = 'MessageTooLongError';
  readonly code = 'MESSAGE_TOO_LONG';

  constructor(maxBytes: number) {
    super(`The message has more than ${maxBytes} bytes.`);
  }
}

/** Receives the bytes of a stream that are not messages. */
export interface StreamReader {
  /** The bytes belong to the stream and are valid only during the call. */
  onData(bytes: Uint8Array): void;
  /** The stream accepts bytes again after `write` returned false. */
  onWritable(): void;
  /** The other side sends no more bytes. */
  onRemoteClose(): void;
}

/** A stream of a connection. Only one of `readMessage`, `read` and `join` is in use at a time. */
export interface RelayStream {
  readonly connection: RelayConnection;
  readonly isOpen: boolean;
  /**
   * Reads one message, which follows its length.
   *
   * @throws MessageTooLongError when it is longer than `maxBytes`; another error when the stream ends before
   */
  readMessage(maxBytes: number): Promise<Uint8Array>;
  /** Writes one message after its length. @throws Error when the stream is closed */
  writeMessage(message: Uint8Array): void;
  /** Passes all further bytes to the reader. */
  read(reader: StreamReader): void;
  /** Writes a copy of the bytes. Returns whether it accepts more. @throws Error when the stream is closed */
  write(bytes: Uint8Array): boolean;
  pause(): void;
  resume(): void;
  /** Sends no more bytes. The stream closes when the other side does the same. */
  closeWrite(): void;
  reset(error: Error): void;
  /** Calls back once when the stream has closed, at once if it has. The returned function removes the callback. */
  onceClosed(callback: () => void): () => void;
  /** Joins it with a stream of the same kind: from now on, bytes of each are sent to the other. */
  join(target: RelayStream, listener: PipeListener): Pipe;
}

/** Receives what happens to the bytes between two joined streams. */
export interface PipeListener {
  /** Bytes have arrived. Returns whether they are forwarded. */
  onBytes(direction: Direction, bytes: number): boolean;
  /** The receiver of this direction takes no bytes at present; its sender is paused. */
  onBlocked(direction: Direction): void;
  /** The receiver takes bytes again; its sender is resumed after the call. */
  onUnblocked(direction: Direction): void;
  /** Final: both sides have closed in order. */
  onClosed(): void;
  /** Final: one side has failed. The other one is reset by the listener. */
  onReset(): void;
}

/** Two joined streams. */
export interface Pipe {
  /** Reads no more bytes of a direction, although its receiver would take them. */
  pause(direction: Direction): void;
  resume(direction: Direction): void;
  /** Bytes of a direction that wait in the relay. */
  waitingBytes(direction: Direction): number;
  /** Maximum bytes of a direction that can wait while its sender is paused and its connection is read. */
  maxWaitingBytes(direction: Direction): number;
  /** Reads no bytes from the connection of the sender, whose other streams wait too. */
  holdReading(direction: Direction): void;
  releaseReading(direction: Direction): void;
  /** Resets both streams. */
  reset(): void;
}
