// ChaCha20-Poly1305 (RFC 8439) on views of existing buffers: libsodium in place, or Node's implementation, which allocates
// its output, for programs that cannot load an addon.
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { loadSodium, type Sodium } from './sodium.ts';

/** Length of the tag behind the encrypted bytes, in bytes. */
export const TAG_BYTES = 16;

/** Length of a key, in bytes. */
export const KEY_BYTES = 32;

/** Length of a nonce, in bytes. */
export const NONCE_BYTES = 12;

/** An implementation. `sealed` is always `TAG_BYTES` longer than `plain`; both may start at the same byte. */
export interface Aead {
  /** For logs and metrics. */
  readonly name: 'sodium-native' | 'node:crypto';
  /** Encrypts `plain` to `sealed`. */
  seal(
    sealed: Uint8Array,
    plain: Uint8Array,
    nonce: Uint8Array,
    key: Uint8Array,
    associated?: Uint8Array,
  ): void;
  /** Decrypts `sealed` to `plain`. Returns false if it is not authentic; then `plain` has no meaning. */
  open(
    plain: Uint8Array,
    sealed: Uint8Array,
    nonce: Uint8Array,
    key: Uint8Array,
    associated?: Uint8Array,
  ): boolean;
}

/** The fastest implementation that works on this machine. */
export function loadAead(): Aead {
  const sodium = loadSodium();
  return sodium === undefined ? nodeAead : createSodiumAead(sodium);
}

export function createSodiumAead(sodium: Sodium): Aead {
  const encrypt = sodium.crypto_aead_chacha20poly1305_ietf_encrypt;
  const decrypt = sodium.crypto_aead_chacha20poly1305_ietf_decrypt;
  return {
    name: 'sodium-native',
    seal(sealed, plain, nonce, key, associated) {
      if (sealed.length !== plain.length + TAG_BYTES) throw new RangeError('The lengths do not match.');
      encrypt(sealed, plain, associated, nonce, key);
    },
    open(plain, sealed, nonce, key, associated) {
      if (sealed.length !== plain.length + TAG_BYTES) throw new RangeError('The lengths do not match.');
      return decrypt(plain, sealed, associated, nonce, key) === plain.length;
    },
  };
}

const NODE_CIPHER = 'chacha20-poly1305';
const NODE_OPTIONS = { authTagLength: TAG_BYTES };

export const nodeAead: Aead = {
  name: 'node:crypto',
  seal(sealed, plain, nonce, key, associated) {
    const cipher = createCipheriv(NODE_CIPHER, key, nonce, NODE_OPTIONS);
    if (associated !== undefined) cipher.setAAD(associated, { plaintextLength: plain.length });
    sealed.set(cipher.update(plain));
    cipher.final();
    sealed.set(cipher.getAuthTag(), plain.length);
  },
  open(plain, sealed, nonce, key, associated) {
    const decipher = createDecipheriv(NODE_CIPHER, key, nonce, NODE_OPTIONS);
    if (associated !== undefined) decipher.setAAD(associated, { plaintextLength: plain.length });
    decipher.setAuthTag(sealed.subarray(plain.length));
    const bytes = decipher.update(sealed.subarray(0, plain.length));
    try {
      decipher.final();
    } catch {
      return false;
    }
    plain.set(bytes);
    return true;
  },
};
