// The lowest layer: a TCP socket of Node. Bytes are read into the buffer of the process, and sent from its blocks. Sockets
// read into the buffer themselves (`onread`), or, where this version of Node does not permit it, their bytes are copied
// there.
import type { Socket } from 'node:net';
import { BlockWriter } from './block-writer.ts';
import type { ByteSink } from './layers.ts';
import { HEADROOM_BYTES, READ_AREA_BYTES } from './read-buffer.ts';
import type { WireIo } from './wire-io.ts';

export interface TcpSocketOptions {
  /** Maximum bytes that wait for the other side to read. Above this limit the connection is aborted. */
  readonly maxUnsentBytes: number;
  /** Idle timeout in milliseconds: the connection is aborted when no byte arrives or is sent. Default 0, which means none. */
  readonly idleTimeoutMs?: number;
}

/** The connection transferred no byte for its idle timeout. */
export class IdleTimeoutError extends Error {
  override readonly name = 'IdleTimeoutError';
  readonly code = 'IDLE_TIMEOUT';

  constructor() {
    super('The connection transferred no byte for its idle timeout.');
  }
}

/** Learns what happens to a socket, whichever layers are above it. */
export interface SocketObserver {
  /** Bytes have been read; called before they are handed up. */
  onSocketRead(): void;
  /** The socket has closed; the last call. The layers know it already. */
  onSocketClose(): void;
}

/** The layer above until there is one, and after the end. */
const NOBODY: ByteSink = { onBytes() {}, onReadEnd() {}, onWritable() {}, onClose() {} };

const NO_BYTES = Buffer.alloc(0);

/** `closing`: sends the rest and discards what arrives. */
type State = 'open' | 'closing' | 'closed';

/** The socket is one that its caller has connected or accepted. Set `sink` before the event loop continues. */
export class TcpSocket extends BlockWriter {
  sink: ByteSink = NOBODY;
  observer: SocketObserver | undefined;
  /** For its options, and for the file descriptor. Nobody else reads from it, writes to it or closes it. */
  readonly socket: Socket;
  /** The address of the other side; behind a load balancer with the PROXY protocol, of its client. */
  remoteAddress: string;
  /** The port of the same. */
  remotePort: number;
  /** Reads with at least one byte since the start. It changes when the other side has sent something. */
  reads = 0;
  /** Writes that had to wait and were sent. It changes when a blocked connection accepts bytes. */
  lateWrites = 0;
  #state: State = 'open';
  #isPaused = false;
  #isReading = false;
  readonly #onWritten = (): void => {
    if (!this.isBlocked || this.socket.writableLength > 0 || this.socket.destroyed) return;
    this.lateWrites += 1;
    this.sent();
  };

  constructor(io: WireIo, socket: Socket, { maxUnsentBytes, idleTimeoutMs = 0 }: TcpSocketOptions) {
    super(io, maxUnsentBytes);
    this.socket = socket;
    // They are missing when the other side has already closed the connection. Its events follow.
    this.remoteAddress = socket.remoteAddress ?? '';
    this.remotePort = socket.remotePort ?? 0;
    socket.on('error', (error) => this.#close(error));
    socket.on('end', () => this.#onRemoteEnd());
    socket.on('close', () => this.#close(undefined));
    if (idleTimeoutMs > 0) socket.setTimeout(idleTimeoutMs, () => this.abort(new IdleTimeoutError()));
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** Whether nothing is read, because a layer does not take more bytes. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Bytes of a socket that reads into the read buffer. Returns whether to read on, which is what `onread` expects. */
  onRead(length: number): boolean {
    const { reads, flushes } = this.io;
    if (this.#state !== 'open') return true;
    this.reads += 1;
    this.#isReading = true;
    flushes.begin();
    try {
      this.observer?.onSocketRead();
      this.sink.onBytes(reads.buffer, HEADROOM_BYTES, HEADROOM_BYTES + length);
      this.sink.onReadEnd();
    } catch (error) {
      this.abort(error instanceof Error ? error : new Error(String(error)));
    } finally {
      flushes.end();
    }
    this.#isReading = false;
    reads.release();
    return !this.#isPaused;
  }

  /** Bytes of a socket that does not. */
  onData(data: Buffer): void {
    for (let from = 0; from < data.length; from += READ_AREA_BYTES) {
      const length = data.copy(this.io.reads.area, 0, from, Math.min(data.length, from + READ_AREA_BYTES));
      if (!this.onRead(length)) this.socket.pause();
    }
  }

  pause(): void {
    if (this.#isPaused || this.#state !== 'open') return;
    this.#isPaused = true;
    // During a read, its result stops the next one.
    if (!this.#isReading) this.socket.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (!this.#isReading && this.#state !== 'closed') this.socket.resume();
  }

  end(): void {
    if (this.#state !== 'open') return;
    this.flush();
    this.endWrites();
    this.#state = 'closing';
    this.io.closing.add(this);
    // What arrives from now on is discarded. If it stayed in the kernel, the last bytes would be lost with a reset.
    this.resume();
    if (!this.isBlocked) this.#finish();
  }

  abort(error: Error): void {
    this.#close(error);
  }

  /** The deadline to close has passed. */
  expire(): void {
    this.#close(undefined);
  }

  protected override send(bytes: Buffer): boolean {
    const { socket } = this;
    // Without a callback, Node.js schedules nothing for a write that is accepted at once.
    socket.write(bytes);
    if (socket.writableLength === 0) return true;
    // The callback of an empty write comes after the bytes.
    socket.write(NO_BYTES, this.#onWritten);
    return false;
  }

  protected override drained(): void {
    if (this.#state === 'closing') {
      this.#finish();
      return;
    }
    const { flushes } = this.io;
    flushes.begin();
    try {
      this.sink.onWritable();
    } catch (error) {
      this.abort(error instanceof Error ? error : new Error(String(error)));
    } finally {
      flushes.end();
    }
  }

  /** All is sent: closes our direction. The socket closes when the other side has closed its own. */
  #finish(): void {
    this.stopWriting();
    this.socket.end();
  }

  /** A connection is of no use without one of its directions. What is not sent yet is sent before it closes. */
  #onRemoteEnd(): void {
    if (this.#state === 'open') this.flush();
    if (this.unsentBytes === 0) this.#close(undefined);
    else this.end();
  }

  #close(error: Error | undefined): void {
    if (this.#state === 'closed') return;
    const isEnding = this.#state === 'closing';
    this.#state = 'closed';
    this.io.closing.remove(this);
    this.stopWriting();
    const { socket, sink } = this;
    if (error === undefined || isEnding || socket.destroyed) socket.destroy();
    // The other side learns at once that there was an error, and the kernel keeps nothing.
    else socket.resetAndDestroy();
    this.sink = NOBODY;
    sink.onClose(error);
    this.observer?.onSocketClose();
  }
}
