// The relay's view of a stream of js-libp2p.
import type { Stream } from '@libp2p/interface';
import { lpStream } from '@libp2p/utils';
import { errorCode, toError } from '../../services/shared/errors.ts';
import {
  MessageTooLongError,
  type Pipe,
  type PipeListener,
  type RelayStream,
  type StreamReader,
} from '../../services/relay/connection.ts';
import { FRAMING, withLength } from '../../services/relay/messages.ts';
import type { Libp2pConnection } from './connection.ts';
import { joinStreams } from './pipe.ts';

/** Error codes of the library for a message that is longer than the limit. */
const LENGTH_ERRORS = new Set(['ERR_MSG_DATA_TOO_LONG', 'ERR_MSG_LENGTH_TOO_LONG']);

export class Libp2pStream implements RelayStream {
  readonly connection: Libp2pConnection;
  /** `undefined` while the other side has not accepted the protocol of a stream that we open. */
  #stream: Stream | undefined;
  readonly #opening: Promise<Stream>;
  /** Aborts the opening. */
  readonly #controller: AbortController | undefined;
  #messages: ReturnType<typeof lpStream<Stream>> | undefined;
  #hasFailed = false;
  readonly #onFailed = new Set<() => void>();

  constructor(connection: Libp2pConnection, stream: Stream | Promise<Stream>, controller?: AbortController) {
    this.connection = connection;
    this.#controller = controller;
    this.#opening = Promise.resolve(stream);
    if (!(stream instanceof Promise)) this.#stream = stream;
    void this.#settle();
  }

  async #settle(): Promise<void> {
    try {
      this.#stream = await this.#opening;
    } catch {
      this.#hasFailed = true;
      for (const notify of this.#onFailed) notify();
    }
  }

  get isOpen(): boolean {
    return this.#stream === undefined ? !this.#hasFailed : this.#stream.status === 'open';
  }

  async readMessage(maxDataLength: number): Promise<Uint8Array> {
    const stream = this.#stream ?? (await this.#opening);
    this.#messages ??= lpStream(stream, { ...FRAMING, maxDataLength });
    try {
      return (await this.#messages.read()).subarray();
    } catch (error) {
      if (LENGTH_ERRORS.has(errorCode(error))) throw new MessageTooLongError(maxDataLength);
      throw error;
    }
  }

  writeMessage(message: Uint8Array): void {
    this.write(withLength(message));
  }

  read(reader: StreamReader): void {
    const stream = this.#opened();
    stream.addEventListener('message', ({ data }) => guard(stream, () => reader.onData(data.subarray())));
    // The library's own listener flushes the stream in a microtask that was queued before this one.
    stream.addEventListener('drain', () => queueMicrotask(() => guard(stream, () => reader.onWritable())));
    stream.addEventListener('end', () => guard(stream, () => reader.onRemoteClose()));
  }

  write(bytes: Uint8Array): boolean {
    // The library keeps the bytes that it cannot send yet.
    const copy = Uint8Array.from(bytes);
    if (this.#stream !== undefined) return this.#stream.send(copy);
    this.#whenOpened((stream) => stream.send(copy));
    return true;
  }

  pause(): void {
    if (this.#opened().readStatus === 'readable') this.#opened().pause();
  }

  resume(): void {
    if (this.#opened().readStatus === 'paused') this.#opened().resume();
  }

  closeWrite(): void {
    this.#whenOpened((stream) => void stream.close().catch((error: unknown) => stream.abort(toError(error))));
  }

  reset(error: Error): void {
    this.#controller?.abort(error);
    this.#whenOpened((stream) => stream.abort(error));
  }

  onceClosed(callback: () => void): () => void {
    const stream = this.#stream;
    if (!this.isOpen) {
      callback();
      return () => {};
    }
    if (stream === undefined) {
      this.#onFailed.add(callback);
      this.#whenOpened((opened) => opened.addEventListener('close', callback));
    } else stream.addEventListener('close', callback);
    return () => {
      this.#onFailed.delete(callback);
      this.#whenOpened((opened) => opened.removeEventListener('close', callback));
    };
  }

  join(target: RelayStream, listener: PipeListener): Pipe {
    if (!(target instanceof Libp2pStream)) throw new TypeError('The streams are of different kinds.');
    return joinStreams(this.#unwrap(), target.#unwrap(), this.connection.windowBytes, listener);
  }

  /** The stream of the library, with the bytes that were read after the last message. */
  #unwrap(): Stream {
    return this.#messages?.unwrap() ?? this.#opened();
  }

  #opened(): Stream {
    if (this.#stream === undefined) throw new Error('The stream is not open yet.');
    return this.#stream;
  }

  #whenOpened(step: (stream: Stream) => unknown): void {
    if (this.#stream !== undefined) step(this.#stream);
    else
      this.#opening.then(
        (stream) => guard(stream, () => void step(stream)),
        () => {},
      );
  }
}

/** An exception in an event handler would end the process. */
function guard(stream: Stream, step: () => void): void {
  try {
    step();
  } catch (error) {
    stream.abort(toError(error));
  }
}
