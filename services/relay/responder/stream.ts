// A stream of a muxer, from the negotiation of its protocol to its end.
import type { StreamSink, WireStream } from '../../wire/layers.ts';
import { withLength } from '../messages.ts';
import type { Pipe, PipeListener, RelayStream, StreamReader } from '../connection.ts';
import { type Callbacks, NO_CALLBACKS, withCallback, withoutCallback } from './callbacks.ts';
import type { WireConnection } from './connection.ts';
import { MessageReader } from './message-reader.ts';
import { LanePipe, type PipeSide } from './pipe.ts';

/** Receives the bytes of a stream in one of its stages. */
export interface Stage {
  /** Returns where the bytes begin that it does not take; they wait for the next stage. */
  onData(buffer: Buffer, start: number, end: number): number;
  onRemoteEnd(): void;
  onWritable(): void;
}

/** A class, because a relay has one for each request. */
export class WireRelayStream implements RelayStream, StreamSink, PipeSide {
  readonly connection: WireConnection;
  readonly wire: WireStream;
  /** Its place in the list of the connection. */
  index = 0;
  /** Empty until it is negotiated. */
  protocol = '';
  /** Who receives bytes; between two stages they wait. */
  #stage: Stage | undefined;
  #nextStage: Stage | undefined;
  #isNegotiating = false;
  /** Bytes that no stage has taken. */
  #received: Buffer | undefined;
  #reading: MessageReading | undefined;
  #closeCallbacks: Callbacks = NO_CALLBACKS;
  #isClosed = false;
  /** Whether a stage receives bytes at present. */
  #isPassing = false;
  /** Whether a stage was told that the other side sends no more bytes. */
  #isEndPassed = false;

  constructor(connection: WireConnection, wire: WireStream) {
    this.connection = connection;
    this.wire = wire;
  }

  get isOpen(): boolean {
    return !this.#isClosed && this.wire.isOpen;
  }

  /** Starts the negotiation of a stream that the relay has opened. The next stage begins after it. */
  negotiate(negotiation: Stage): void {
    this.setStage(negotiation);
    this.#isNegotiating = true;
  }

  /** The other side has accepted the protocol. */
  finishNegotiation(): void {
    this.#isNegotiating = false;
    const next = this.#nextStage;
    this.#nextStage = undefined;
    this.setStage(next);
  }

  /** Starts a stage with the bytes that have arrived before it. Without a stage bytes wait. */
  setStage(stage: Stage | undefined): void {
    if (this.#isNegotiating) {
      this.#nextStage = stage;
      return;
    }
    this.#stage = stage;
    if (stage === undefined || this.#isPassing) return;
    const received = this.#received;
    this.#received = undefined;
    if (received !== undefined) this.onData(received, 0, received.length);
    if (this.#stage === undefined || this.#received !== undefined) return;
    if (this.wire.isRemoteEnded && this.wire.waitingBytes === 0) this.onRemoteEnd();
    else this.wire.resume();
  }

  readMessage(maxBytes: number): Promise<Uint8Array> {
    if (!this.isOpen) return Promise.reject(new Error('The stream is closed.'));
    const reading = new MessageReading(this, maxBytes);
    this.#reading = reading;
    this.setStage(reading);
    return reading.message;
  }

  writeMessage(message: Uint8Array): void {
    this.write(withLength(message));
  }

  read(reader: StreamReader): void {
    this.setStage(new Reading(reader));
  }

  write(bytes: Uint8Array): boolean {
    if (!this.isOpen) throw new Error('The stream is closed.');
    const buffer = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return this.wire.write(buffer, 0, buffer.length);
  }

  pause(): void {
    this.wire.pause();
  }

  resume(): void {
    this.wire.resume();
  }

  closeWrite(): void {
    this.wire.closeWrite();
  }

  reset(): void {
    this.wire.reset();
  }

  onceClosed(callback: () => void): () => void {
    if (this.#isClosed) callback();
    else this.#closeCallbacks = withCallback(this.#closeCallbacks, callback);
    return () => void (this.#closeCallbacks = withoutCallback(this.#closeCallbacks, callback));
  }

  join(target: RelayStream, listener: PipeListener): Pipe {
    if (!(target instanceof WireRelayStream)) throw new TypeError('The streams are of different kinds.');
    const pipe = new LanePipe(this, target, this.connection.windowBytes, listener);
    this.#received = target.#received = undefined;
    return pipe;
  }

  /** Bytes that were received before it was joined. */
  get received(): Buffer | undefined {
    return this.#received;
  }

  /** The peer has chosen no protocol in time. */
  expire(): void {
    this.reset();
  }

  onEnded(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.connection.forget(this);
    this.#reading?.onStreamEnded();
    const callbacks = this.#closeCallbacks;
    this.#closeCallbacks = NO_CALLBACKS;
    for (const callback of callbacks) callback();
  }

  onData(buffer: Buffer, start: number, end: number): void {
    let at = start;
    this.#isPassing = true;
    while (at < end && this.#stage !== undefined) at = this.#stage.onData(buffer, at, end);
    this.#isPassing = false;
    if (at === end) return;
    // Within its window the stream buffers what follows.
    this.wire.pause();
    const rest = buffer.subarray(at, end);
    this.#received = this.#received === undefined ? Buffer.from(rest) : Buffer.concat([this.#received, rest]);
  }

  onRemoteEnd(): void {
    // A stage that begins later learns it then.
    if (this.#stage === undefined || this.#isEndPassed) return;
    this.#isEndPassed = true;
    this.#stage.onRemoteEnd();
  }

  onWritable(): void {
    this.#stage?.onWritable();
  }

  onClose(): void {
    this.onEnded();
  }
}

/** The stage in which bytes are passed to a reader. */
class Reading implements Stage {
  readonly #reader: StreamReader;

  constructor(reader: StreamReader) {
    this.#reader = reader;
  }

  onData(buffer: Buffer, start: number, end: number): number {
    this.#reader.onData(buffer.subarray(start, end));
    return end;
  }

  onRemoteEnd(): void {
    this.#reader.onRemoteClose();
  }

  onWritable(): void {
    this.#reader.onWritable();
  }
}

/** The stage in which one message is read. */
class MessageReading implements Stage {
  readonly message: Promise<Uint8Array>;
  readonly #stream: WireRelayStream;
  readonly #reader: MessageReader;
  readonly #resolve: (message: Uint8Array) => void;
  readonly #reject: (error: Error) => void;
  /** Whether the message is read, or has failed. */
  #isOver = false;

  constructor(stream: WireRelayStream, maxBytes: number) {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    this.message = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#stream = stream;
    this.#reader = new MessageReader(maxBytes);
  }

  onData(buffer: Buffer, start: number, end: number): number {
    try {
      const rest = this.#reader.take(buffer, start, end);
      const { message } = this.#reader;
      if (message === undefined) return rest;
      this.#isOver = true;
      this.#stream.setStage(undefined);
      this.#resolve(message);
      return rest;
    } catch (error) {
      this.#stream.setStage(DISCARD);
      this.#fail(error as Error);
      return end;
    }
  }

  onRemoteEnd(): void {
    if (!this.#isOver) this.#fail(new Error('The stream ended before a whole message.'));
  }

  onWritable(): void {
    // Messages are short; the stream queues them.
  }

  /** The stream has ended. An error, whose stack is expensive, is created only for a message that is still waited for. */
  onStreamEnded(): void {
    if (!this.#isOver) this.#fail(new Error('The stream was closed.'));
  }

  #fail(error: Error): void {
    this.#isOver = true;
    this.#reject(error);
  }
}

/** After a message that is not valid nothing is read as one. */
const DISCARD: Stage = { onData: (_buffer, _start, end) => end, onRemoteEnd() {}, onWritable() {} };
