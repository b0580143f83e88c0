// One exchange of hop messages on a stream: reads the request and writes one response.
import { refused, type Result } from '../shared/result.ts';
import {
  MessageTooLongError,
  type PeerIdentity,
  type RelayConnection,
  type RelayStream,
} from './connection.ts';
import type { DeadlineQueue, Expiring } from '../shared/deadline-queue.ts';
import { MAX_REFUSAL_DELAY_MS } from './late-answers.ts';
import {
  decodeHopRequest,
  encodeHopResponse,
  type HopResponse,
  MAX_MESSAGE_BYTES,
  type RequestRejection,
} from './messages.ts';
import { parsePeer } from './peer-identity.ts';

/**
 * Deadline of one exchange of hop messages, in milliseconds: 15 s for its messages and for the target, and the longest
 * delay of a late answer. Clients give up after about 10 to 60 seconds.
 */
export const HOP_TIMEOUT_MS = 15_000 + MAX_REFUSAL_DELAY_MS;

/** A request, with its target. */
export type Request =
  | { readonly type: 'reserve' }
  | { readonly type: 'connect'; readonly target: PeerIdentity };

export interface HopExchange extends Expiring {
  readonly connection: RelayConnection;
  readRequest(): Promise<Result<{ readonly request: Request }, RequestRejection>>;
  /** Writes the response and keeps the stream open. @throws Error when the stream is closed */
  respond(response: HopResponse): void;
  /** Writes the response and closes the stream. @throws Error when the stream is closed */
  conclude(response: HopResponse): void;
  /** The stream, for the bytes of the circuit, without the deadline. */
  toStream(): RelayStream;
  /** Whether a response can still be read. */
  isOpen(): boolean;
  /** Calls back when the stream closes. The returned function removes the callback. */
  onClose(callback: () => void): () => void;
  /** Replaced by the handler of the request to learn that the exchange is interrupted, before its stream is reset. */
  onInterrupt: () => void;
  /** Resets the stream, which ends every wait of the exchange. */
  interrupt(error: Error): void;
}

/** @param deadlines those of all exchanges */
export function createHopExchange(stream: RelayStream, deadlines: DeadlineQueue): HopExchange {
  return new StreamExchange(stream, deadlines);
}

/** A class, because there is one for each request. */
class StreamExchange implements HopExchange {
  readonly connection: RelayConnection;
  onInterrupt: () => void = () => {};
  readonly #stream: RelayStream;
  readonly #deadlines: DeadlineQueue;

  constructor(stream: RelayStream, deadlines: DeadlineQueue) {
    this.connection = stream.connection;
    this.#stream = stream;
    this.#deadlines = deadlines;
    deadlines.add(this);
    stream.onceClosed(() => deadlines.remove(this));
  }

  async readRequest(): ReturnType<HopExchange['readRequest']> {
    try {
      return decodeRequest(await this.#stream.readMessage(MAX_MESSAGE_BYTES));
    } catch (error) {
      if (error instanceof MessageTooLongError) return refused('malformed');
      throw error;
    }
  }

  respond(response: HopResponse): void {
    this.#stream.writeMessage(encodeHopResponse(response));
  }

  conclude(response: HopResponse): void {
    this.respond(response);
    // A peer that does not close its side keeps the stream open until the deadline.
    this.#stream.closeWrite();
  }

  toStream(): RelayStream {
    this.#deadlines.remove(this);
    return this.#stream;
  }

  isOpen(): boolean {
    return this.#stream.isOpen;
  }

  onClose(callback: () => void): () => void {
    return this.#stream.onceClosed(callback);
  }

  interrupt(error: Error): void {
    this.onInterrupt();
    this.#stream.reset(error);
  }

  expire(): void {
    this.interrupt(new Error('The exchange exceeded its deadline.'));
  }
}

function decodeRequest(bytes: Uint8Array): Result<{ readonly request: Request }, RequestRejection> {
  const decoded = decodeHopRequest(bytes);
  if (!decoded.ok) return decoded;
  const { request } = decoded;
  if (request.type === 'reserve') return { ok: true, request };
  const target = parsePeer(request.target);
  return target === undefined ? refused('malformed') : { ok: true, request: { type: 'connect', target } };
}
