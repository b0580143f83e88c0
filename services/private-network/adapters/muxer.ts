// The muxers of the wire as stream muxers of libp2p, and their streams as streams of libp2p.
import type {
  CreateStreamOptions,
  Logger,
  MessageStreamDirection,
  StreamMuxer,
  StreamMuxerFactory,
} from '@libp2p/interface';
import { AbstractStream, AbstractStreamMuxer, type SendResult } from '@libp2p/utils';
import type { Uint8ArrayList } from 'uint8arraylist';
import type { MuxSession, SessionOwner, StreamEnd, StreamSink, WireStream } from '../../wire/layers.ts';
import { createMplexSession } from '../../wire/mplex/session.ts';
import { MPLEX_PROTOCOL } from '../../wire/mplex/codec.ts';
import type { MuxOptions } from '../../wire/muxer/session.ts';
import { YAMUX_PROTOCOL } from '../../wire/yamux/codec.ts';
import { createYamuxSession } from '../../wire/yamux/session.ts';
import { LayerConnection } from './layer-connection.ts';

/** Maximum inbound streams that wait until the connection is ready. A peer opens identify, ping and a few circuits. */
const MAX_EARLY_STREAMS = 32;

type CreateSession = (options: MuxOptions) => MuxSession;

/** The connection has the maximum of streams that this device may open. */
export class TooManyStreamsError extends Error {
  override readonly name = 'TooManyStreamsError';
  readonly code = 'TOO_MANY_STREAMS';

  constructor(maxStreams: number) {
    super(`The connection has the maximum of ${maxStreams} outbound streams, or does not open more.`);
  }
}

/**
 * Creates the muxers in the order in which they are offered: yamux, because it has flow control per stream, and mplex
 * for clients without yamux.
 *
 * @param maxStreams maximum streams of one connection in each direction
 */
export function createMuxers(maxStreams: number): Array<() => StreamMuxerFactory> {
  return [
    () => createFactory(YAMUX_PROTOCOL, createYamuxSession, maxStreams),
    () => createFactory(MPLEX_PROTOCOL, createMplexSession, maxStreams),
  ];
}

function createFactory(protocol: string, create: CreateSession, maxStreams: number): StreamMuxerFactory {
  return {
    protocol,
    createStreamMuxer(connection): StreamMuxer {
      if (!(connection instanceof LayerConnection))
        throw new TypeError('The connection is not one of the encrypter of this module.');
      return new LayerMuxer(connection, { protocol, create, maxStreams });
    },
  };
}

interface LayerMuxerInit {
  readonly protocol: string;
  readonly create: CreateSession;
  readonly maxStreams: number;
}

class LayerMuxer extends AbstractStreamMuxer<LayerStream> implements SessionOwner {
  readonly #connection: LayerConnection;
  readonly #session: MuxSession;
  readonly #maxStreams: number;

  constructor(connection: LayerConnection, { protocol, create, maxStreams }: LayerMuxerInit) {
    super(connection, { protocol, name: 'muxer', maxEarlyStreams: MAX_EARLY_STREAMS });
    this.#connection = connection;
    this.#maxStreams = maxStreams;
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
    this.onRemoteStream(new LayerStream(stream, this.log));
  }

  onClose(error: Error | undefined): void {
    this.onTransportClosed();
    this.#connection.onLayerClose(error);
  }

  override onCreateStream(_options: CreateStreamOptions): LayerStream {
    const stream = this.#session.openStream();
    if (stream === undefined) throw new TooManyStreamsError(this.#maxStreams);
    return new LayerStream(stream, this.log);
  }

  override onData(): void {
    // The session is the sink of the layer below.
  }

  override async close(options?: Parameters<AbstractStreamMuxer['close']>[0]): Promise<void> {
    await super.close(options);
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

  constructor(wire: WireStream, log: Logger) {
    const direction: MessageStreamDirection = wire.isInbound ? 'inbound' : 'outbound';
    super({ id: String(wire.id), direction, log });
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
      onData: (buffer, start, end) => this.onData(Buffer.from(buffer.subarray(start, end))),
      onRemoteEnd: () => this.onRemoteCloseWrite(),
      onWritable: () => this.onMuxerDrain(),
      onClose: (end) => this.#onEnd(end),
    };
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
