// Negotiates the protocol of a stream before libp2p gets the stream. The library takes microseconds for each byte of a
// length that does not end, and answers to any number of proposals, so that a member could hold the event loop.
import {
  ConnectionClosedError,
  StreamResetError,
  TimeoutError,
  UnsupportedProtocolError,
} from '@libp2p/interface';
import { toError } from '../../shared/errors.ts';
import type { DeadlineQueue, Expiring } from '../../shared/deadline-queue.ts';
import type { StreamEnd, StreamSink, WireStream } from '../../wire/layers.ts';
import {
  MultistreamError,
  MultistreamInitiator,
  MultistreamResponder,
  type Negotiator,
} from '../../wire/multistream.ts';

/** Receives the outcome: one call. */
export interface StreamNegotiationOwner {
  /** Both sides have agreed. The owner sets the sink of the stream in this call: bytes may follow at once. */
  onProtocol(protocol: string): void;
  /** The stream is over. */
  onFailed(error: Error): void;
}

/** Becomes the sink of a stream until both sides have agreed. One object for each stream. */
export class StreamNegotiation implements StreamSink, Expiring {
  readonly #wire: WireStream;
  readonly #owner: StreamNegotiationOwner;
  readonly #deadlines: DeadlineQueue;
  #negotiator: Negotiator | undefined;
  #isOver = false;

  /** @param protocols to choose from on a stream of the other side; otherwise the proposals */
  constructor(
    wire: WireStream,
    protocols: readonly string[],
    deadlines: DeadlineQueue,
    owner: StreamNegotiationOwner,
  ) {
    this.#wire = wire;
    this.#owner = owner;
    this.#deadlines = deadlines;
    deadlines.add(this);
    const write = (bytes: Buffer): void => void wire.write(bytes, 0, bytes.length);
    // The proposal may end the connection. What the other side sent before arrives when the sink is set.
    if (wire.isInbound) this.#negotiator = new MultistreamResponder(protocols, write);
    wire.sink = this;
    this.#negotiator ??= new MultistreamInitiator(protocols, write);
  }

  onData(buffer: Buffer, start: number, end: number): void {
    if (this.#isOver || this.#negotiator === undefined) return;
    let rest: number;
    try {
      rest = this.#negotiator.take(buffer, start, end);
    } catch (error) {
      this.fail(toError(error));
      return;
    }
    const { protocol } = this.#negotiator;
    if (protocol === undefined) return;
    this.#end();
    this.#owner.onProtocol(protocol);
    if (rest < end) this.#wire.sink?.onData(buffer, rest, end);
  }

  onRemoteEnd(): void {
    this.fail(new MultistreamError('MULTISTREAM_INVALID', 'the other side closed the stream'));
  }

  onWritable(): void {
    // A few short lines need no backpressure.
  }

  onClose(end: StreamEnd): void {
    this.fail(end === 'reset' ? new StreamResetError() : new ConnectionClosedError());
  }

  expire(): void {
    this.fail(new TimeoutError('The other side did not agree on a protocol of the stream in time.'));
  }

  /** Ends the negotiation and the stream. */
  fail(error: Error): void {
    if (this.#isOver) return;
    this.#end();
    this.#wire.reset();
    this.#owner.onFailed(toLibraryError(error));
  }

  #end(): void {
    this.#isOver = true;
    this.#deadlines.remove(this);
  }
}

/** The error by which callers of the library recognize that the other side lacks a protocol. */
function toLibraryError(error: Error): Error {
  return error instanceof MultistreamError && error.code === 'MULTISTREAM_UNSUPPORTED'
    ? new UnsupportedProtocolError(error.message)
    : error;
}
