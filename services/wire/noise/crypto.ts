// The cryptography of a Noise connection: libsodium, or Node's. There is nothing of our own.
import { createPublicKey, hash, verify } from 'node:crypto';
import { type Aead, createSodiumAead, nodeAead } from './aead.ts';
import { createSodiumKeyAgreement, type KeyAgreement, nodeKeyAgreement } from './key-agreement.ts';
import { loadSodium, type Sodium } from './sodium.ts';

/** Length of an Ed25519 public key, in bytes. */
export const ED25519_KEY_BYTES = 32;

/** Length of an Ed25519 signature, in bytes. */
export const ED25519_SIGNATURE_BYTES = 64;

/** What precedes an Ed25519 public key in its DER encoding (RFC 8410). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/** Writes the SHA-256 of `message` to `hash`, which has 32 bytes and must not be a part of `message`. */
export type Sha256 = (hash: Uint8Array, message: Uint8Array) => void;

export interface NoiseCrypto {
  /** For logs and metrics. */
  readonly name: 'sodium-native' | 'node:crypto';
  readonly aead: Aead;
  readonly keyAgreement: KeyAgreement;
  readonly sha256: Sha256;
  /** Whether `signature` is the signature of `message` by an Ed25519 key of 32 bytes. */
  verifyEd25519(publicKey: Buffer, message: Buffer, signature: Buffer): boolean;
}

/** The fastest implementation that works on this machine. */
export function loadNoiseCrypto(): NoiseCrypto {
  const sodium = loadSodium();
  return sodium === undefined ? nodeNoiseCrypto : createSodiumNoiseCrypto(sodium);
}

export function createSodiumNoiseCrypto(sodium: Sodium): NoiseCrypto {
  return {
    name: 'sodium-native',
    aead: createSodiumAead(sodium),
    keyAgreement: createSodiumKeyAgreement(sodium),
    sha256: sodium.crypto_hash_sha256,
    verifyEd25519(publicKey, message, signature) {
      if (publicKey.length !== ED25519_KEY_BYTES || signature.length !== ED25519_SIGNATURE_BYTES)
        return false;
      return sodium.crypto_sign_verify_detached(
        signature.buffer,
        signature.byteOffset,
        signature.length,
        message.buffer,
        message.byteOffset,
        message.length,
        publicKey.buffer,
        publicKey.byteOffset,
        publicKey.length,
      );
    },
  };
}

export const nodeNoiseCrypto: NoiseCrypto = {
  name: 'node:crypto',
  aead: nodeAead,
  keyAgreement: nodeKeyAgreement,
  sha256: (target, message) => target.set(hash('sha256', message, 'buffer')),
  verifyEd25519(publicKey, message, signature) {
    if (publicKey.length !== ED25519_KEY_BYTES || signature.length !== ED25519_SIGNATURE_BYTES) return false;
    const key = Buffer.concat([SPKI_PREFIX, publicKey]);
    try {
      return verify(null, message, createPublicKey({ key, format: 'der', type: 'spki' }), signature);
    } catch {
      return false;
    }
  },
};
