// Noise_XX_25519_ChaChaPoly_SHA256, both roles, with messages of up to 64 KiB.
// https://noiseprotocol.org/noise.html, https://github.com/libp2p/specs/tree/master/noise
import { createHmac } from 'node:crypto';
import { createNoiseKey, type Identity, type KeyPair, verifyPayload } from './identity.ts';
import { NO_RECEIVER, type Pipe, type PipeReader, type Receiver } from './pipe.ts';
import type { Depth } from './psk.ts';
import { sodium } from './sodium.ts';

const NAME = Buffer.from('Noise_XX_25519_ChaChaPoly_SHA256');
const KEY_BYTES = 32;
const TAG_BYTES = 16;
const LENGTH_BYTES = 2;
const MAX_MESSAGE_BYTES = 65_535;

/** Maximum payload of one message. */
export const MAX_PAYLOAD_BYTES = MAX_MESSAGE_BYTES - TAG_BYTES;

export type Role = 'initiator' | 'responder';

const NONCE = Buffer.alloc(12);

function nonceOf(counter: number): Buffer {
  NONCE.writeUInt32LE(counter >>> 0, 4);
  NONCE.writeUInt32LE(Math.floor(counter / 2 ** 32), 8);
  return NONCE;
}

/** The state during the handshake: chaining key `ck`, hash `h`, and the key of the next payload. */
class SymmetricState {
  #ck: Buffer = NAME;
  #h: Buffer = NAME;
  #key: Buffer | undefined;
  #counter = 0;

  constructor() {
    this.mixHash(Buffer.alloc(0));
  }

  mixHash(data: Buffer): void {
    const hash = Buffer.allocUnsafe(32);
    sodium.crypto_hash_sha256(hash, Buffer.concat([this.#h, data]));
    this.#h = hash;
  }

  mixKey(secretKey: Buffer, publicKey: Buffer): void {
    const shared = Buffer.allocUnsafe(KEY_BYTES);
    sodium.crypto_scalarmult(shared, secretKey, publicKey);
    [this.#ck, this.#key] = hkdf(this.#ck, shared);
    this.#counter = 0;
  }

  encrypt(plain: Buffer): Buffer {
    if (this.#key === undefined) {
      this.mixHash(plain);
      return plain;
    }
    const cipher = Buffer.allocUnsafe(plain.length + TAG_BYTES);
    const nonce = nonceOf(this.#counter++);
    sodium.crypto_aead_chacha20poly1305_ietf_encrypt(cipher, plain, this.#h, null, nonce, this.#key);
    this.mixHash(cipher);
    return cipher;
  }

  decrypt(cipher: Buffer): Buffer {
    if (this.#key === undefined) {
      this.mixHash(cipher);
      return cipher;
    }
    const plain = Buffer.allocUnsafe(cipher.length - TAG_BYTES);
    const nonce = nonceOf(this.#counter++);
    sodium.crypto_aead_chacha20poly1305_ietf_decrypt(plain, null, cipher, this.#h, nonce, this.#key);
    this.mixHash(cipher);
    return plain;
  }

  /** The keys of the initiator and of the responder. */
  split(): [Buffer, Buffer] {
    return hkdf(this.#ck, Buffer.alloc(0));
  }
}

function hmac(secret: Buffer, ...data: readonly Buffer[]): Buffer {
  const mac = createHmac('sha256', secret);
  for (const part of data) mac.update(part);
  return mac.digest();
}

function hkdf(key: Buffer, input: Buffer): [Buffer, Buffer] {
  const temporary = hmac(key, input);
  const first = hmac(temporary, Buffer.from([1]));
  return [first, hmac(temporary, first, Buffer.from([2]))];
}

async function readHandshake(reader: PipeReader): Promise<Buffer> {
  const length = (await reader.read(LENGTH_BYTES)).readUInt16BE();
  return reader.read(length);
}

function writeHandshake(reader: PipeReader, ...parts: readonly Buffer[]): void {
  const message = Buffer.concat([Buffer.alloc(LENGTH_BYTES), ...parts]);
  message.writeUInt16BE(message.length - LENGTH_BYTES);
  reader.pipe.write(message);
}

/** The channel, and the peer id that the other side has proved. @throws Error when a check fails */
export async function shakeHands(
  reader: PipeReader,
  role: Role,
  identity: Identity,
  depth: Depth,
): Promise<{ readonly channel: NoiseChannel; readonly peerId: Buffer }> {
  const state = new SymmetricState();
  const own = createNoiseKey();
  const secured =
    role === 'initiator'
      ? await initiate(reader, state, own, identity)
      : await respond(reader, state, own, identity);
  const [first, second] = state.split();
  const keys: [Buffer, Buffer] = role === 'initiator' ? [first, second] : [second, first];
  const channel = new NoiseChannel(reader.pipe, ...keys, depth);
  return { channel, peerId: verifyPayload(secured.payload, secured.noiseKey) };
}

interface Proof {
  readonly payload: Buffer;
  readonly noiseKey: Buffer;
}

async function initiate(
  reader: PipeReader,
  state: SymmetricState,
  own: KeyPair,
  identity: Identity,
): Promise<Proof> {
  state.mixHash(own.publicKey);
  writeHandshake(reader, own.publicKey, state.encrypt(Buffer.alloc(0)));
  const second = await readHandshake(reader);
  const ephemeral = second.subarray(0, KEY_BYTES);
  state.mixHash(ephemeral);
  state.mixKey(own.secretKey, ephemeral);
  const noiseKey = state.decrypt(second.subarray(KEY_BYTES, 2 * KEY_BYTES + TAG_BYTES));
  state.mixKey(own.secretKey, noiseKey);
  const payload = state.decrypt(second.subarray(2 * KEY_BYTES + TAG_BYTES));
  const sealedKey = state.encrypt(identity.noiseKey.publicKey);
  state.mixKey(identity.noiseKey.secretKey, ephemeral);
  writeHandshake(reader, sealedKey, state.encrypt(identity.payload));
  return { payload, noiseKey };
}

async function respond(
  reader: PipeReader,
  state: SymmetricState,
  own: KeyPair,
  identity: Identity,
): Promise<Proof> {
  const ephemeral = (await readHandshake(reader)).subarray(0, KEY_BYTES);
  state.mixHash(ephemeral);
  state.decrypt(Buffer.alloc(0));
  state.mixHash(own.publicKey);
  state.mixKey(own.secretKey, ephemeral);
  const sealedKey = state.encrypt(identity.noiseKey.publicKey);
  state.mixKey(identity.noiseKey.secretKey, ephemeral);
  writeHandshake(reader, own.publicKey, sealedKey, state.encrypt(identity.payload));
  const third = await readHandshake(reader);
  const noiseKey = state.decrypt(third.subarray(0, KEY_BYTES + TAG_BYTES));
  state.mixKey(own.secretKey, noiseKey);
  return { payload: state.decrypt(third.subarray(KEY_BYTES + TAG_BYTES)), noiseKey };
}

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

/** Buffers of complete messages, for the next partial ones. */
const partials: Buffer[] = [];
const MAX_FREE_PARTIALS = 64;
