// Signatures of the relay's identity. The key is parsed once: the library parses an Ed25519 key for every signature,
// which takes longer than the signature.
import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import type { PrivateKey } from '@libp2p/interface';
import { loadSodium, type Sodium } from '../wire/noise/sodium.ts';

/** The DER encoding of an Ed25519 private key before its 32 bytes (RFC 8410). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

const ED25519_SEED_BYTES = 32;
const ED25519_SIGNATURE_BYTES = 64;

/** Signs the bytes; only keys of other types than Ed25519 need a promise. */
export type Signer = (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>;

export function createSigner(identity: PrivateKey): Signer {
  if (identity.type !== 'Ed25519') return (bytes) => identity.sign(bytes);
  const seed = identity.raw.subarray(0, ED25519_SEED_BYTES);
  const sodium = loadSodium();
  // libsodium needs a third of the time of OpenSSL.
  if (sodium !== undefined) return createSodiumSigner(sodium, seed);
  const key = toKeyObject(seed);
  return (bytes) => sign(null, bytes, key);
}

function createSodiumSigner(sodium: Sodium, seed: Uint8Array): Signer {
  const [publicKey, secretKey] = [Buffer.alloc(ED25519_SEED_BYTES), Buffer.alloc(2 * ED25519_SEED_BYTES)];
  sodium.crypto_sign_seed_keypair(publicKey, secretKey, Buffer.from(seed));
  return (bytes) => {
    const signature = Buffer.alloc(ED25519_SIGNATURE_BYTES);
    sodium.crypto_sign_detached(signature, bytes, secretKey);
    return signature;
  };
}

function toKeyObject(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
}
