// Signatures of the relay's identity. The key is parsed once: the library parses an Ed25519 key for every signature,
// which takes longer than the signature.
import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import type { PrivateKey } from '@libp2p/interface';

/** The DER encoding of an Ed25519 private key before its 32 bytes (RFC 8410). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

const ED25519_SEED_BYTES = 32;

/** Signs the bytes; only keys of other types than Ed25519 need a promise. */
export type Signer = (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>;

export function createSigner(identity: PrivateKey): Signer {
  if (identity.type !== 'Ed25519') return (bytes) => identity.sign(bytes);
  const key = toKeyObject(identity.raw.subarray(0, ED25519_SEED_BYTES));
  return (bytes) => sign(null, bytes, key);
}

function toKeyObject(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
}
