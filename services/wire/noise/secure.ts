// Carries out a Noise handshake on a connection, and leaves the connection to a `NoiseChannel`. Each message follows its
// length (https://github.com/libp2p/specs/tree/master/noise#wire-format).
import type { BlockDuplex, ByteSink } from '../layers.ts';
import { NoiseChannel } from './channel.ts';
import { NoiseError } from './errors.ts';
import {
  type Handshake,
  type HandshakeRole,
  MAX_HANDSHAKE_MESSAGE_BYTES,
  NoiseHandshake,
} from './handshake.ts';
import type { NoiseIdentity } from './identity.ts';

/** Length of the length before each message, in bytes. */
const LENGTH_BYTES = 2;

/** Receives the outcome of a handshake: one call. */
export interface SecureOwner {
  /**
   * The handshake is done. The owner returns the sink of the channel, because bytes may follow at once.
   */
  onSecured(channel: NoiseChannel, handshake: Handshake): ByteSink;
  /** The handshake has failed, or the connection is over. The connection is closed. */
  onFailed(error: Error): void;
}

export interface SecureOptions {
  readonly role: HandshakeRole;
  readonly identity: NoiseIdentity;
  /** The multihash of the peer id that the other side must have. */
  readonly expectedPeer?: Buffer | undefined;
  readonly owner: SecureOwner;
}

/** Starts a handshake: becomes the sink of `below`, and sends the first message of the initiator. */
export function startNoise(below: BlockDuplex, options: SecureOptions): ByteSink {
  return new HandshakeSink(below, options);
}

class HandshakeSink implements ByteSink {
  readonly #below: BlockDuplex;
  readonly #options: SecureOptions;
  readonly #handshake: NoiseHandshake;
  #lengthBytes = 0;
  #length = 0;
  /** The message that is being received, as far as it has arrived. */
  #message: Buffer | undefined;
  #received = 0;

  constructor(below: BlockDuplex, options: SecureOptions) {
    this.#below = below;
    this.#options = options;
    this.#handshake = new NoiseHandshake(options.role, options.identity, options.expectedPeer);
    below.sink = this;
    if (options.role === 'initiator') this.#send(this.#handshake.start());
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end && this.#below.sink === this) {
      const message = this.#message;
      if (message === undefined) {
        this.#readLength(buffer[at] ?? 0);
        at += 1;
        continue;
      }
      const length = Math.min(end - at, message.length - this.#received);
      buffer.copy(message, this.#received, at, at + length);
      this.#received += length;
      at += length;
      if (this.#received === message.length) this.#onMessage(message);
    }
    // Bytes that were read together with the end of the handshake belong to the channel.
    if (at < end) this.#below.sink.onBytes(buffer, at, end);
  }

  onReadEnd(): void {
    // Messages are handled as soon as they are complete.
  }

  onWritable(): void {
    // Three short messages need no backpressure.
  }

  onClose(error: Error | undefined): void {
    this.#below.sink = closedSink;
    this.#options.owner.onFailed(
      error ??
        new NoiseError('NOISE_TRUNCATED', 'The other side closed the connection during the Noise handshake.'),
    );
  }

  #readLength(byte: number): void {
    this.#length = this.#length * 256 + byte;
    this.#lengthBytes += 1;
    if (this.#lengthBytes < LENGTH_BYTES) return;
    if (this.#length === 0 || this.#length > MAX_HANDSHAKE_MESSAGE_BYTES) {
      const message = `The Noise handshake failed: a message has ${this.#length} bytes.`;
      this.#below.abort(new NoiseError('NOISE_HANDSHAKE_SIZE', message));
      return;
    }
    this.#message = Buffer.alloc(this.#length);
    this.#received = 0;
    this.#length = 0;
    this.#lengthBytes = 0;
  }

  #onMessage(message: Buffer): void {
    this.#message = undefined;
    try {
      const answer = this.#handshake.receive(message);
      if (answer !== undefined) this.#send(answer);
    } catch (error) {
      this.#below.abort(error as Error);
      return;
    }
    const { result } = this.#handshake;
    if (result === undefined) return;
    const { identity, owner } = this.#options;
    const channel = new NoiseChannel(this.#below, result, identity.parts, closedSink);
    channel.sink = owner.onSecured(channel, result);
  }

  #send(message: Buffer): void {
    const length = LENGTH_BYTES + message.length;
    this.#below.reserve(length);
    const { out, at } = this.#below;
    out.writeUInt16BE(message.length, at);
    message.copy(out, at + LENGTH_BYTES);
    this.#below.commit(length);
  }
}

/** Takes what still arrives when nobody listens any more. */
const closedSink: ByteSink = {
  onBytes() {},
  onReadEnd() {},
  onWritable() {},
  onClose() {},
};
