// The identity of a device: an Ed25519 key, from which the peer id follows, and a Noise key that it has signed.
// https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md, https://github.com/libp2p/specs/tree/master/noise
import { randomFillSync } from 'node:crypto';
import { sodium } from './sodium.ts';

/** What is signed, before the public Noise key. */
const SIGNED_PREFIX = Buffer.from('noise-libp2p-static-key:');

/** The protobuf header of an Ed25519 public key. */
const KEY_HEADER = Buffer.from([0x08, 0x01, 0x12, 0x20]);

/** The multihash header of a key that is its own hash. */
const HASH_HEADER = Buffer.from([0x00, 0x24]);

const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

export interface KeyPair {
  readonly publicKey: Buffer;
  readonly secretKey: Buffer;
}

export interface Identity {
  /** The multihash, as in messages of the relay. */
  readonly peerId: Buffer;
  /** The public key in protobuf, as in identify. */
  readonly publicKey: Buffer;
  readonly noiseKey: KeyPair;
  /** The payload of its Noise handshakes. It never changes. */
  readonly payload: Buffer;
}

export function createIdentity(): Identity {
  const [raw, secretKey] = [Buffer.alloc(32), Buffer.alloc(64)];
  sodium.crypto_sign_keypair(raw, secretKey);
  const noiseKey = createNoiseKey();
  const signature = Buffer.alloc(64);
  sodium.crypto_sign_detached(signature, Buffer.concat([SIGNED_PREFIX, noiseKey.publicKey]), secretKey);
  const publicKey = Buffer.concat([KEY_HEADER, raw]);
  return {
    peerId: Buffer.concat([HASH_HEADER, publicKey]),
    publicKey,
    noiseKey,
    payload: Buffer.concat([
      Buffer.from([0x0a, publicKey.length]),
      publicKey,
      Buffer.from([0x12, signature.length]),
      signature,
    ]),
  };
}

export function createNoiseKey(): KeyPair {
  const [publicKey, secretKey] = [Buffer.alloc(32), randomFillSync(Buffer.alloc(32))];
  sodium.crypto_scalarmult_base(publicKey, secretKey);
  return { publicKey, secretKey };
}

/** The peer id of the other side. @throws Error when the signature is wrong or the key is not Ed25519 */
export function verifyPayload(payload: Buffer, noisePublicKey: Buffer): Buffer {
  let publicKey: Buffer = Buffer.alloc(0);
  let signature: Buffer = Buffer.alloc(0);
  for (const { field, bytes } of fieldsOf(payload)) {
    if (field === 1) publicKey = bytes;
    if (field === 2) signature = bytes;
  }
  if (publicKey.length !== KEY_HEADER.length + 32 || !publicKey.subarray(0, 4).equals(KEY_HEADER))
    throw new Error('The identity of the other side is not an Ed25519 key.');
  const message = Buffer.concat([SIGNED_PREFIX, noisePublicKey]);
  if (!sodium.crypto_sign_verify_detached(signature, message, publicKey.subarray(4)))
    throw new Error('The Noise key of the other side is not signed by its identity.');
  return Buffer.concat([HASH_HEADER, publicKey]);
}

/** The fields of a protobuf message: bytes, or the value of a varint. @throws Error when it is truncated */
export function* fieldsOf(message: Buffer): Generator<{ field: number; value: number; bytes: Buffer }> {
  let position = 0;
  const readVarint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = message[position];
      if (byte === undefined) throw new Error('A protobuf message is truncated.');
      position += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (position < message.length) {
    const tag = readVarint();
    const value = readVarint();
    const isBytes = (tag & 7) === 2;
    const bytes = isBytes ? message.subarray(position, position + value) : Buffer.alloc(0);
    if (isBytes && bytes.length !== value) throw new Error('A protobuf message is truncated.');
    position += bytes.length;
    yield { field: tag >> 3, value, bytes };
  }
}

/** A peer id as text. */
export function base58(bytes: Buffer): string {
  let value = BigInt(`0x${bytes.toString('hex')}`);
  let text = '';
  for (; value > 0n; value /= 58n) text = `${BASE58[Number(value % 58n)]}${text}`;
  for (const byte of bytes) {
    if (byte !== 0) break;
    text = `1${text}`;
  }
  return text;
}
