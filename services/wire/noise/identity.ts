// What the handshakes of one identity have in common. It is made once: the static key pair, and the payload, whose
// signature never changes.
import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { PartPool } from '../part-pool.ts';
import type { NoiseCrypto } from './crypto.ts';
import type { DhKeys } from './key-agreement.ts';
import { encodePayload, signedBytes } from './payload.ts';
import { encodeEd25519PublicKey } from './public-key.ts';

/** Length of an Ed25519 seed, in bytes. */
const SEED_BYTES = 32;

/** What precedes an Ed25519 seed in its DER encoding (RFC 8410). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** Length of what precedes the key in the DER encoding of an Ed25519 public key, in bytes. */
const SPKI_PREFIX_BYTES = 12;

/** The private key of an identity, wherever it is. */
export interface Signer {
  readonly publicKeyProtobuf: Uint8Array;
  sign(bytes: Uint8Array): Uint8Array | Promise<Uint8Array>;
}

export interface Ed25519Signer extends Signer {
  sign(bytes: Uint8Array): Buffer;
}

/** A signer for the seed of an Ed25519 key. The key is parsed once. */
export function createEd25519Signer(seed: Uint8Array): Ed25519Signer {
  if (seed.length !== SEED_BYTES)
    throw new RangeError(`A seed of Ed25519 has ${SEED_BYTES} bytes; this one has ${seed.length}.`);
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX_BYTES);
  return {
    publicKeyProtobuf: encodeEd25519PublicKey(publicKey),
    sign: (bytes) => sign(null, bytes, key),
  };
}

export interface NoiseIdentity {
  readonly crypto: NoiseCrypto;
  readonly staticKeys: DhKeys;
  readonly payload: Buffer;
  /** Muxers that the payload offers, in the order of preference. */
  readonly muxers: readonly string[];
  /** Buffers for the incomplete messages of all connections of this identity. */
  readonly parts: PartPool;
}

export interface NoiseIdentityOptions {
  readonly signer: Signer;
  readonly crypto: NoiseCrypto;
  /** Muxers that are offered, in the order of preference. Without any, the muxer is negotiated after the handshake. */
  readonly muxers: readonly string[];
}

/** Creates a static key pair and signs it. */
export async function createNoiseIdentity(options: NoiseIdentityOptions): Promise<NoiseIdentity> {
  const { signer, crypto, muxers } = options;
  const staticKeys = crypto.keyAgreement.generate();
  const signature = await signer.sign(signedBytes(staticKeys.publicKey));
  const payload = encodePayload(signer.publicKeyProtobuf, signature, muxers);
  return { crypto, staticKeys, payload, muxers, parts: new PartPool() };
}
