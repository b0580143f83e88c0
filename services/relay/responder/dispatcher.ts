// Negotiates the protocol of each stream with multistream-select, and passes the streams of peers to the handlers of
// their protocols. https://github.com/multiformats/multistream-select
import type { LoopClock } from '../../shared/loop-clock.ts';
import { DeadlineQueue } from '../../shared/deadline-queue.ts';
import type { StreamHandler } from '../network.ts';
import { MultistreamInitiator, MultistreamResponder } from '../../wire/multistream.ts';
import type { Stage, WireRelayStream } from './stream.ts';

export interface DispatcherOptions {
  readonly handlers: readonly StreamHandler[];
  /** Deadline for a peer to choose a protocol for its stream, in milliseconds. */
  readonly negotiationMs: number;
  readonly clock: Pick<LoopClock, 'nowMs' | 'after'>;
}

export class Dispatcher {
  readonly #handlers: ReadonlyMap<string, StreamHandler>;
  readonly #protocols: readonly string[];
  readonly #deadlines: DeadlineQueue;

  constructor({ handlers, negotiationMs, clock }: DispatcherOptions) {
    this.#handlers = new Map(handlers.map((handler) => [handler.protocol, handler]));
    this.#protocols = handlers.map(({ protocol }) => protocol);
    this.#deadlines = new DeadlineQueue(negotiationMs, { clock });
  }

  /** A peer has opened a stream. */
  accept(stream: WireRelayStream): void {
    this.#deadlines.add(stream);
    const responder = new MultistreamResponder(this.#protocols, (bytes) => void stream.write(bytes));
    stream.setStage(new Negotiation(stream, responder, (protocol) => this.#handle(stream, protocol)));
  }

  /** The relay has opened a stream. What is written to it is sent at once, and discarded by a peer that refuses. */
  propose(stream: WireRelayStream, protocol: string): void {
    stream.protocol = protocol;
    const initiator = new MultistreamInitiator([protocol], (bytes) => void stream.write(bytes));
    stream.negotiate(new Negotiation(stream, initiator, () => stream.finishNegotiation()));
  }

  /** A stream has ended. */
  forget(stream: WireRelayStream): void {
    this.#deadlines.remove(stream);
  }

  #handle(stream: WireRelayStream, protocol: string): void {
    this.#deadlines.remove(stream);
    stream.setStage(undefined);
    stream.protocol = protocol;
    const handler = this.#handlers.get(protocol);
    if (handler === undefined || stream.connection.countStreams(protocol, true) > handler.maxInboundStreams)
      stream.reset();
    else void handler.handle(stream);
  }
}

/** The stage in which the protocol of a stream is negotiated. */
class Negotiation implements Stage {
  readonly #stream: WireRelayStream;
  readonly #negotiator: MultistreamResponder | MultistreamInitiator;
  readonly #onProtocol: (protocol: string) => void;

  constructor(
    stream: WireRelayStream,
    negotiator: MultistreamResponder | MultistreamInitiator,
    onProtocol: (protocol: string) => void,
  ) {
    this.#stream = stream;
    this.#negotiator = negotiator;
    this.#onProtocol = onProtocol;
  }

  onData(buffer: Buffer, start: number, end: number): number {
    try {
      const rest = this.#negotiator.take(buffer, start, end);
      const { protocol } = this.#negotiator;
      if (protocol !== undefined) this.#onProtocol(protocol);
      return rest;
    } catch {
      this.#stream.reset();
      return end;
    }
  }

  onRemoteEnd(): void {
    this.#stream.reset();
  }

  onWritable(): void {
    // The messages are short; the stream queues them.
  }
}
