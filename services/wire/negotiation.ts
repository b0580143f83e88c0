// Negotiates the next layer of a connection with multistream-select (https://github.com/libp2p/specs/tree/master/connections,
// section "Upgrading connections").
import type { ByteDuplex, ByteSink } from './layers.ts';
import {
  MultistreamError,
  MultistreamInitiator,
  MultistreamResponder,
  type Negotiator,
  type WriteMessages,
} from './multistream.ts';

/** Receives the outcome of a negotiation: one call. */
export interface NegotiationOwner {
  /** Both sides have agreed. The owner sets the sink of the connection in this call: bytes may follow at once. */
  onProtocol(protocol: string): void;
  /** The negotiation has failed, or the connection is over. The connection is closed. */
  onFailed(error: Error): void;
}

/** Lets the other side choose one of these protocols: becomes the sink of `below`. */
export function answerProposals(
  below: ByteDuplex,
  protocols: readonly string[],
  owner: NegotiationOwner,
): void {
  below.sink = new NegotiationSink(below, (write) => new MultistreamResponder(protocols, write), owner);
}

/** Proposes these protocols in the order of preference: becomes the sink of `below`. */
export function proposeProtocols(
  below: ByteDuplex,
  proposals: readonly string[],
  owner: NegotiationOwner,
): void {
  below.sink = new NegotiationSink(below, (write) => new MultistreamInitiator(proposals, write), owner);
}

class NegotiationSink implements ByteSink {
  readonly #below: ByteDuplex;
  readonly #negotiator: Negotiator;
  readonly #owner: NegotiationOwner;
  #isOver = false;

  constructor(
    below: ByteDuplex,
    createNegotiator: (write: WriteMessages) => Negotiator,
    owner: NegotiationOwner,
  ) {
    this.#below = below;
    this.#owner = owner;
    this.#negotiator = createNegotiator((bytes) => below.write(bytes, 0, bytes.length));
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    if (this.#isOver) return;
    let rest: number;
    try {
      rest = this.#negotiator.take(buffer, start, end);
    } catch (error) {
      this.#below.abort(error as Error);
      return;
    }
    const { protocol } = this.#negotiator;
    if (protocol === undefined) return;
    this.#isOver = true;
    this.#owner.onProtocol(protocol);
    if (rest < end) this.#below.sink.onBytes(buffer, rest, end);
  }

  onReadEnd(): void {
    // Lines are handled as soon as they are complete.
  }

  onWritable(): void {
    // A few short lines need no backpressure.
  }

  onClose(error: Error | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#owner.onFailed(
      error ?? new MultistreamError('MULTISTREAM_INVALID', 'the other side closed the connection'),
    );
  }
}
