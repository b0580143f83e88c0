// A layer as a connection of libp2p, for what the library does between layers: it negotiates the next one with
// multistream-select. The adapter of the next layer then takes the layer back, with the bytes that the negotiation has left.
import type { AbortOptions, Logger } from '@libp2p/interface';
import { AbstractMultiaddrConnection, type SendResult } from '@libp2p/utils';
import type { Multiaddr } from '@multiformats/multiaddr';
import type { Uint8ArrayList } from 'uint8arraylist';
import { MAX_HELD_BYTES } from '../../wire/psk-layer.ts';
import type { BlockDuplex, ByteDuplex, ByteSink } from '../../wire/layers.ts';
import { TcpSocket } from '../../wire/tcp-socket.ts';

/**
 * Default maximum of bytes that the library gets of one layer. The other side sends its header, a proposal and the first
 * message of the next layer, and then waits for us. The library takes microseconds for each byte of a length that does not
 * end.
 */
const MAX_EARLY_BYTES = MAX_HELD_BYTES;

/** The other side sent more than the negotiation of a layer, or of the protocol of a stream, needs. */
export class EarlyBytesError extends Error {
  override readonly name = 'EarlyBytesError';
  readonly code = 'EARLY_BYTES';

  constructor(maxBytes: number) {
    super(`The other side sent more than ${maxBytes} bytes during a negotiation.`);
  }
}

export interface LayerConnectionInit<Layer extends ByteDuplex> {
  readonly layer: Layer;
  /** What the library knows of the connection. */
  readonly remoteAddr: Multiaddr;
  readonly direction: 'inbound' | 'outbound';
  readonly log: Logger;
  /** The connection of the layer below. It ends together with this one. */
  readonly below?: LayerConnection | undefined;
  /** Maximum bytes that are received until the next layer takes over. Default 4 KiB. */
  readonly maxEarlyBytes?: number;
}

/** What is left to the next layer. */
export interface TakenLayer<Layer extends ByteDuplex> {
  readonly layer: Layer;
  /** Bytes that were received and belong to the next layer. Pass them on when its sink is set. */
  readonly rest: Buffer;
}

export class LayerConnection<Layer extends ByteDuplex = ByteDuplex> extends AbstractMultiaddrConnection {
  readonly layer: Layer;
  readonly #below: LayerConnection | undefined;
  readonly #maxEarlyBytes: number;
  #earlyBytes = 0;
  #closed: PromiseWithResolvers<void> | undefined;
  #isOver = false;

  constructor(init: LayerConnectionInit<Layer>) {
    const { layer, remoteAddr, direction, log } = init;
    super({ remoteAddr, direction, log });
    this.layer = layer;
    this.#below = init.below;
    this.#maxEarlyBytes = init.maxEarlyBytes ?? MAX_EARLY_BYTES;
    layer.sink = this.#createSink();
  }

  /** Leaves the layer to the caller, who sets its sink at once and calls `onLayerClose` at its end. */
  take(): TakenLayer<Layer> {
    const rest = Buffer.from(this.readBuffer.subarray());
    this.readBuffer.consume(this.readBuffer.byteLength);
    return { layer: this.layer, rest };
  }

  /** The layer is closed. The connections of the layers below are told too. */
  onLayerClose(error: Error | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (error === undefined) this.onTransportClosed();
    else this.abort(error);
    this.#closed?.resolve();
    this.#below?.onLayerClose(error);
  }

  override sendData(data: Uint8ArrayList): SendResult {
    for (const chunk of data) {
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
      this.layer.write(bytes, 0, bytes.length);
    }
    return { sentBytes: data.byteLength, canSendMore: !this.layer.isBlocked };
  }

  override sendReset(error: Error): void {
    this.layer.abort(error);
  }

  override sendPause(): void {
    this.layer.pause();
  }

  override sendResume(): void {
    this.layer.resume();
  }

  /** Resolves when the connection is closed. @throws the reason of the signal */
  override async sendClose({ signal }: AbortOptions = {}): Promise<void> {
    if (this.#isOver) return;
    this.#closed = Promise.withResolvers();
    const { promise, reject } = this.#closed;
    const onAbort = (): void => reject(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.layer.end();
    await promise.finally(() => signal?.removeEventListener('abort', onAbort));
  }

  #createSink(): ByteSink {
    return {
      onBytes: (buffer, start, end) => {
        this.#earlyBytes += end - start;
        if (this.#earlyBytes > this.#maxEarlyBytes)
          this.layer.abort(new EarlyBytesError(this.#maxEarlyBytes));
        else this.onData(Buffer.from(buffer.subarray(start, end)));
      },
      onReadEnd: () => {},
      onWritable: () => this.onMuxerDrain(),
      onClose: (error) => this.onLayerClose(error),
    };
  }
}

/** The outgoing blocks of a layer are needed up to Noise. */
export type BlockConnection = LayerConnection<BlockDuplex>;

/** Whether the layer of a connection is one of ours that writes in blocks. */
export function isBlockConnection(connection: unknown): connection is BlockConnection {
  return connection instanceof LayerConnection && 'reserve' in connection.layer;
}

/** Reads of the socket of a connection since its start; 0 if it is not on a socket of ours. */
export function readsOf(connection: unknown): number {
  return connection instanceof LayerConnection && connection.layer instanceof TcpSocket
    ? connection.layer.reads
    : 0;
}
