// The handshake of Noise_XX_25519_ChaChaPoly_SHA256, both roles.
// https://noiseprotocol.org/noise.html, https://github.com/libp2p/specs/tree/master/noise
import { createHmac } from 'node:crypto';
import { createNoiseKey, type Identity, type KeyPair, verifyPayload } from './identity.ts';
import { NoiseChannel, nonceOf } from './noise-channel.ts';
import type { PipeReader } from './pipe.ts';
import type { Depth } from './psk.ts';
import { sodium } from './sodium.ts';

const NAME = Buffer.from('Noise_XX_25519_ChaChaPoly_SHA256');
const KEY_BYTES = 32;
const TAG_BYTES = 16;
const LENGTH_BYTES = 2;

export type Role = 'initiator' | 'responder';

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
