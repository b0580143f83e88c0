// The muxers of the wire as stream muxers of libp2p, and their streams as streams of libp2p.
import {
  type AbortOptions,
  type CreateStreamOptions,
  type Logger,
  type MessageStreamDirection,
  type StreamMuxer,
  type StreamMuxerFactory,
} from '@libp2p/interface';
import { AbstractStream, AbstractStreamMuxer, type SendResult } from '@libp2p/utils';
import type { Uint8ArrayList } from 'uint8arraylist';
import { toError } from '../../shared/errors.ts';
import { DeadlineQueue } from '../../shared/deadline-queue.ts';
import type { MuxSession, SessionOwner, StreamEnd, StreamSink, WireStream } from '../../wire/layers.ts';
import { createMplexSession } from '../../wire/mplex/session.ts';
import { MPLEX_PROTOCOL } from '../../wire/mplex/codec.ts';
import type { MuxOptions } from '../../wire/muxer/session.ts';
import { YAMUX_PROTOCOL } from '../../wire/yamux/codec.ts';
import { createYamuxSession } from '../../wire/yamux/session.ts';
import { EarlyBytesError, LayerConnection } from './layer-connection.ts';
import { StreamNegotiation } from './stream-negotiation.ts';

/**
 * Maximum inbound streams with a protocol that wait until the connection is ready, which takes no round trip. A peer opens
 * identify, ping and a few circuits.
 */
const MAX_EARLY_STREAMS = 32;

/** Maximum negotiations of streams of one process at the same time. Further ones end the oldest. */
const MAX_NEGOTIATIONS = 16_384;

/**
 * Maximum bytes that the library gets of a stream while it negotiates its protocol, which it does for several proposals:
 * the header and an answer to each.
 */
const MAX_ANSWER_BYTES = 1024;

type CreateSession = (options: MuxOptions) => MuxSession;

/** The connection has the maximum of streams that this device may open. */
export class TooManyStreamsError extends Error {
  override readonly name = 'TooManyStreamsError';
  readonly code = 'TOO_MANY_STREAMS';

  constructor(maxStreams: number) {
    super(`The connection has the maximum of ${maxStreams} outbound streams, or does not open more.`);
  }
}

export interface MuxerOptions {
  /** Maximum streams of one connection in each direction. */
  readonly maxStreams: number;
  /** Deadline for the negotiation of the protocol of a stream, in milliseconds. */
  readonly negotiationMs: number;
}

/** What the muxers need of the library. It creates its registrar later than them. */
export interface MuxerComponents {
  readonly registrar: { getProtocols(): string[] };
}

type CreateFactory = (components: MuxerComponents) => StreamMuxerFactory;

/**
 * Creates the muxers in the order in which they are offered: yamux, because it has flow control per stream, and mplex
 * for clients without yamux.
 */
export function createMuxers({ maxStreams, negotiationMs }: MuxerOptions): CreateFactory[] {
  const negotiations = new DeadlineQueue(negotiationMs, { maxSize: MAX_NEGOTIATIONS });
  const creators = [
    [YAMUX_PROTOCOL, createYamuxSession],
    [MPLEX_PROTOCOL, createMplexSession],
  ] as const;
  return creators.map(
    ([protocol, create]) =>
      (components) =>
        createFactory({ protocol, create, maxStreams, negotiations, components }),
  );
}

function createFactory(init: LayerMuxerInit): StreamMuxerFactory {
  return {
    protocol: init.protocol,
    createStreamMuxer(connection): StreamMuxer {
      if (!(connection instanceof LayerConnection))
        throw new TypeError('The connection is not one of the encrypter of this module.');
      return new LayerMuxer(connection, init);
    },
  };
}

interface LayerMuxerInit {
  readonly protocol: string;
  readonly create: CreateSession;
  readonly maxStreams: number;
  readonly negotiations: DeadlineQueue;
  readonly components: MuxerComponents;
}

class LayerMuxer extends AbstractStreamMuxer<LayerStream> implements SessionOwner {
  readonly #connection: LayerConnection;
  readonly #session: MuxSession;
  readonly #init: LayerMuxerInit;

  constructor(connection: LayerConnection, init: LayerMuxerInit) {
    const { protocol, create, maxStreams } = init;
    super(connection, { protocol, name: 'muxer', maxEarlyStreams: MAX_EARLY_STREAMS });
    this.#connection = connection;
    this.#init = init;
    const { layer, rest } = connection.take();
    const isInitiator = connection.direction === 'outbound';
    this.#session = create({ below: layer, owner: this, isInitiator, maxStreams });
    if (rest.length > 0) {
      this.#session.onBytes(rest, 0, rest.length);
      this.#session.onReadEnd();
    }
    // It was paused until now.
    layer.resume();
  }

  onStream(stream: WireStream): void {
    const { components, negotiations } = this.#init;
    // oxlint-disable-next-line no-new -- it is the sink of the stream
    new StreamNegotiation(stream, components.registrar.getProtocols(), negotiations, {
      onProtocol: (protocol) => this.onRemoteStream(new LayerStream(stream, this.log, protocol)),
      onFailed: (error) => this.log('a stream of the other side has no protocol - %e', error),
    });
  }

  onClose(error: Error | undefined): void {
    this.onTransportClosed();
    this.#connection.onLayerClose(error);
  }

  override async createStream(options?: CreateStreamOptions): Promise<LayerStream> {
    const stream = await super.createStream(options);
    // The library would keep a stream that has ended together with its negotiation.
    if (stream.status !== 'open') this.streams = this.streams.filter((each) => each !== stream);
    return stream;
  }

  /** The library names the protocol if there is one proposal, and otherwise negotiates itself. */
  override onCreateStream({
    protocol,
    signal,
  }: CreateStreamOptions & AbortOptions): LayerStream | Promise<LayerStream> {
    signal?.throwIfAborted();
    const stream = this.#session.openStream();
    if (stream === undefined) throw new TooManyStreamsError(this.#init.maxStreams);
    return protocol === undefined
      ? new LayerStream(stream, this.log)
      : this.#propose(stream, protocol, signal);
  }

  /** @throws UnsupportedProtocolError, or the reason of the signal */
  async #propose(
    stream: WireStream,
    proposal: string,
    signal: AbortSignal | undefined,
  ): Promise<LayerStream> {
    const { promise, resolve, reject } = Promise.withResolvers<LayerStream>();
    const negotiation = new StreamNegotiation(stream, [proposal], this.#init.negotiations, {
      onProtocol: (protocol) => resolve(new LayerStream(stream, this.log, protocol)),
      onFailed: reject,
    });
    const onAbort = (): void => negotiation.fail(toError(signal?.reason));
    signal?.addEventListener('abort', onAbort, { once: true });
    return promise.finally(() => signal?.removeEventListener('abort', onAbort));
  }

  override onData(): void {
    // The session is the sink of the layer below.
  }

  /** Closes when all streams have sent what was written. @throws the reason of the signal */
  override async close(options?: AbortOptions): Promise<void> {
    if (this.status === 'closed' || this.status === 'closing') return;
    this.status = 'closing';
    // The one of the library stops at the first stream that was reset, while others have bytes to send.
    await Promise.allSettled(this.streams.map(async (stream) => stream.close(options)));
    options?.signal?.throwIfAborted();
    this.status = 'closed';
    this.#session.close();
  }

  /** The connection ends too: without a muxer it is of no use. */
  override abort(error: Error): void {
    super.abort(error);
    this.#session.abort(error);
  }
}

/** A stream of libp2p. What nobody reads stays in the window of the stream. */
class LayerStream extends AbstractStream implements StreamMarker {
  readonly wire: WireStream;
  #isHeld = false;
  #answerBytes = 0;

  /** @param protocol default: the library negotiates it */
  constructor(wire: WireStream, log: Logger, protocol = '') {
    const direction: MessageStreamDirection = wire.isInbound ? 'inbound' : 'outbound';
    super({ id: String(wire.id), direction, log, protocol });
    this.wire = wire;
    wire.sink = this.#createSink();
  }

  override sendData(data: Uint8ArrayList): SendResult {
    let canSendMore = true;
    for (const chunk of data) {
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
      canSendMore = this.wire.write(bytes, 0, bytes.length);
    }
    return { sentBytes: data.byteLength, canSendMore };
  }

  override sendReset(): void {
    this.wire.reset();
  }

  override sendPause(): void {
    this.#holdOrRelease();
  }

  override sendResume(): void {
    this.#holdOrRelease();
  }

  override async sendCloseWrite(): Promise<void> {
    this.wire.closeWrite();
  }

  override async sendCloseRead(): Promise<void> {
    // The muxers cannot tell the other side. What arrives is discarded.
    this.#holdOrRelease();
  }

  protected override dispatchReadBuffer(): void {
    super.dispatchReadBuffer();
    this.#holdOrRelease();
  }

  /** Receives no more while the bytes that were received are not read. */
  #holdOrRelease(): void {
    const isHeld =
      this.readStatus === 'paused' || (this.readStatus === 'readable' && this.readBufferLength > 0);
    if (isHeld === this.#isHeld) return;
    this.#isHeld = isHeld;
    if (isHeld) this.wire.pause();
    else this.wire.resume();
  }

  #createSink(): StreamSink {
    return {
      onData: (buffer, start, end) => this.#onBytes(buffer, start, end),
      onRemoteEnd: () => this.onRemoteCloseWrite(),
      onWritable: () => this.onMuxerDrain(),
      onClose: (end) => this.#onEnd(end),
    };
  }

  #onBytes(buffer: Buffer, start: number, end: number): void {
    if (this.protocol === '' && (this.#answerBytes += end - start) > MAX_ANSWER_BYTES)
      this.abort(new EarlyBytesError(MAX_ANSWER_BYTES));
    else this.onData(Buffer.from(buffer.subarray(start, end)));
  }

  #onEnd(end: StreamEnd): void {
    // After `abort` this is the end that it caused.
    if (this.status === 'aborted' || this.status === 'reset') return;
    if (end === 'reset') this.onRemoteReset();
    else this.onTransportClosed();
  }
}

/** Lets others find the stream of the wire. */
export interface StreamMarker {
  readonly wire: WireStream;
}
