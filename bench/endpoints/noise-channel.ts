// The encrypted messages of a Noise channel after its handshake, of up to 64 KiB.
// https://noiseprotocol.org/noise.html, https://github.com/libp2p/specs/tree/master/noise
import { NO_RECEIVER, type Pipe, type Receiver } from './pipe.ts';
import type { Depth } from './psk.ts';
import { sodium } from './sodium.ts';

const LENGTH_BYTES = 2;
const TAG_BYTES = 16;
const MAX_MESSAGE_BYTES = 65_535;

/** Maximum payload of one message. */
const MAX_PAYLOAD_BYTES = MAX_MESSAGE_BYTES - TAG_BYTES;

const NONCE = Buffer.alloc(12);

/** The nonce of a message, in memory that the next call overwrites. */
export function nonceOf(counter: number): Buffer {
  NONCE.writeUInt32LE(counter >>> 0, 4);
  NONCE.writeUInt32LE(Math.floor(counter / 2 ** 32), 8);
  return NONCE;
}

/** Buffers of complete messages, for the next partial ones. */
const partials: Buffer[] = [];
const MAX_FREE_PARTIALS = 64;

/** Memory for the message that is being sent. */
const OUT = [
  Buffer.allocUnsafeSlow(LENGTH_BYTES + MAX_MESSAGE_BYTES),
  Buffer.allocUnsafeSlow(LENGTH_BYTES + MAX_MESSAGE_BYTES),
] as const;

/** Encrypted messages. Each write is one message if it fits. */
export class NoiseChannel implements Pipe, Receiver {
  receiver: Receiver = NO_RECEIVER;
  readonly #pipe: Pipe;
  readonly #sendKey: Buffer;
  readonly #receiveKey: Buffer;
  readonly #out: Buffer;
  #sent = 0;
  #received = 0;
  /** The beginning of a message whose end has not arrived. */
  #partial: Buffer | undefined;
  #partialLength = 0;

  constructor(pipe: Pipe, sendKey: Buffer, receiveKey: Buffer, depth: Depth) {
    this.#out = OUT[depth];
    this.#pipe = pipe;
    this.#sendKey = sendKey;
    this.#receiveKey = receiveKey;
  }

  get isBlocked(): boolean {
    return this.#pipe.isBlocked;
  }

  write(first: Buffer, second?: Buffer): void {
    const length = first.length + (second?.length ?? 0);
    if (length > MAX_PAYLOAD_BYTES) return this.#writeSplit(first, second);
    const out = this.#out;
    first.copy(out, LENGTH_BYTES);
    second?.copy(out, LENGTH_BYTES + first.length);
    out.writeUInt16BE(length + TAG_BYTES);
    const end = LENGTH_BYTES + length;
    sodium.crypto_aead_chacha20poly1305_ietf_encrypt(
      out.subarray(LENGTH_BYTES, end + TAG_BYTES),
      out.subarray(LENGTH_BYTES, end),
      null,
      null,
      nonceOf(this.#sent++),
      this.#sendKey,
    );
    this.#pipe.write(out.subarray(0, end + TAG_BYTES));
  }

  end(): void {
    this.#pipe.end();
  }

  destroy(): void {
    this.#pipe.destroy();
  }

  onBytes(bytes: Buffer): void {
    let position = this.#partialLength === 0 ? 0 : this.#completePartial(bytes);
    while (bytes.length - position >= LENGTH_BYTES) {
      const end = position + LENGTH_BYTES + bytes.readUInt16BE(position);
      if (end > bytes.length) break;
      this.#open(bytes.subarray(position + LENGTH_BYTES, end));
      position = end;
    }
    if (position < bytes.length) {
      this.#partial ??= partials.pop() ?? Buffer.allocUnsafeSlow(LENGTH_BYTES + MAX_MESSAGE_BYTES);
      this.#partialLength += bytes.copy(this.#partial, this.#partialLength, position);
    }
  }

  onWritable(): void {
    this.receiver.onWritable();
  }

  onEnd(): void {
    this.receiver.onEnd();
  }

  onClose(reason?: Error): void {
    this.receiver.onClose(reason);
  }

  /** Returns the number of bytes that belong to the partial message. */
  #completePartial(bytes: Buffer): number {
    const partial = this.#partial as Buffer;
    let taken = 0;
    if (this.#partialLength < LENGTH_BYTES) {
      partial[1] = bytes[0] ?? 0;
      this.#partialLength = LENGTH_BYTES;
      taken = 1;
    }
    const end = LENGTH_BYTES + partial.readUInt16BE(0);
    const count = Math.min(end - this.#partialLength, bytes.length - taken);
    bytes.copy(partial, this.#partialLength, taken, taken + count);
    this.#partialLength += count;
    if (this.#partialLength < end) return taken + count;
    this.#partial = undefined;
    this.#partialLength = 0;
    this.#open(partial.subarray(LENGTH_BYTES, end));
    if (partials.length < MAX_FREE_PARTIALS) partials.push(partial);
    return taken + count;
  }

  /** Decrypts in place. */
  #open(cipher: Buffer): void {
    const plain = cipher.subarray(0, cipher.length - TAG_BYTES);
    const nonce = nonceOf(this.#received++);
    sodium.crypto_aead_chacha20poly1305_ietf_decrypt(plain, null, cipher, null, nonce, this.#receiveKey);
    this.receiver.onBytes(plain);
  }

  #writeSplit(first: Buffer, second: Buffer = Buffer.alloc(0)): void {
    const bytes = Buffer.concat([first, second]);
    for (let start = 0; start < bytes.length; start += MAX_PAYLOAD_BYTES)
      this.write(bytes.subarray(start, start + MAX_PAYLOAD_BYTES));
  }
}
