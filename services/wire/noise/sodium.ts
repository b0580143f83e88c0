// The addon of `sodium-native`, whose functions are faster than those that the package exports, because they check nothing:
// neither types nor lengths. The callers in this directory do.
import { createRequire } from 'node:module';

/** The functions that Noise, and the vouchers of the relay, use. They return a status or a length; negative means failure. */
export interface Sodium {
  crypto_aead_chacha20poly1305_ietf_encrypt(
    sealed: Uint8Array,
    plain: Uint8Array,
    associated: Uint8Array | undefined,
    nonce: Uint8Array,
    key: Uint8Array,
  ): number;
  crypto_aead_chacha20poly1305_ietf_decrypt(
    plain: Uint8Array,
    sealed: Uint8Array,
    associated: Uint8Array | undefined,
    nonce: Uint8Array,
    key: Uint8Array,
  ): number;
  crypto_hash_sha256(hash: Uint8Array, message: Uint8Array): number;
  crypto_box_keypair(publicKey: Uint8Array, privateKey: Uint8Array): number;
  crypto_scalarmult_base(publicKey: Uint8Array, privateKey: Uint8Array): number;
  crypto_scalarmult(secret: Uint8Array, privateKey: Uint8Array, publicKey: Uint8Array): number;
  crypto_sign_seed_keypair(publicKey: Uint8Array, secretKey: Uint8Array, seed: Uint8Array): number;
  crypto_sign_detached(signature: Uint8Array, message: Uint8Array, secretKey: Uint8Array): number;
  crypto_sign_verify_detached(
    ...ranges: [
      ...signature: [buffer: ArrayBufferLike, offset: number, length: number],
      ...message: [buffer: ArrayBufferLike, offset: number, length: number],
      ...publicKey: [buffer: ArrayBufferLike, offset: number, length: number],
    ]
  ): boolean;
}

/** In the package the addon has a file of its own; in `dist` (see `scripts/build.ts`) it takes the place of the package. */
const NAMES = ['sodium-native/binding', 'sodium-native'];

/** Loads the addon. `undefined` where there is none for this machine, or one whose functions are others. */
export function loadSodium(): Sodium | undefined {
  const require = createRequire(import.meta.url);
  for (const name of NAMES) {
    try {
      const sodium = require(name) as Sodium;
      if (isUsable(sodium)) return sodium;
    } catch {
      // The next name, or no addon.
    }
  }
  return undefined;
}

/** Tests the order of the parameters: the addon and the functions of the package differ in it. */
function isUsable(sodium: Sodium): boolean {
  const [plain, key, nonce] = [Buffer.alloc(1), Buffer.alloc(32), Buffer.alloc(12)];
  const sealed = Buffer.alloc(17);
  return (
    sodium.crypto_aead_chacha20poly1305_ietf_encrypt(sealed, plain, undefined, nonce, key) === 17 &&
    sodium.crypto_aead_chacha20poly1305_ietf_decrypt(plain, sealed, undefined, nonce, key) === 1 &&
    sodium.crypto_aead_chacha20poly1305_ietf_decrypt(plain, Buffer.alloc(17), undefined, nonce, key) < 0
  );
}
