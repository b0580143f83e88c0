// The functions of `sodium-native` that the endpoints use. The package has no types.
import { createRequire } from 'node:module';

export interface Sodium {
  readonly crypto_stream_xor_STATEBYTES: number;
  crypto_stream_xor_init(state: Buffer, nonce: Buffer, key: Buffer): void;
  /** `target` and `source` may be the same memory. */
  crypto_stream_xor_update(state: Buffer, target: Buffer, source: Buffer): void;
  crypto_scalarmult_base(publicKey: Buffer, secretKey: Buffer): void;
  crypto_scalarmult(shared: Buffer, secretKey: Buffer, publicKey: Buffer): void;
  crypto_sign_keypair(publicKey: Buffer, secretKey: Buffer): void;
  crypto_sign_detached(signature: Buffer, message: Buffer, secretKey: Buffer): void;
  crypto_sign_verify_detached(signature: Buffer, message: Buffer, publicKey: Buffer): boolean;
  crypto_hash_sha256(hash: Buffer, message: Buffer): void;
  /** `cipher` has 16 bytes more than `message`, and may be the same memory. */
  crypto_aead_chacha20poly1305_ietf_encrypt(
    cipher: Buffer,
    message: Buffer,
    data: Buffer | null,
    unused: null,
    nonce: Buffer,
    key: Buffer,
  ): number;
  /** @throws Error when the tag is wrong */
  crypto_aead_chacha20poly1305_ietf_decrypt(
    message: Buffer,
    unused: null,
    cipher: Buffer,
    data: Buffer | null,
    nonce: Buffer,
    key: Buffer,
  ): number;
}

export const sodium = createRequire(import.meta.url)('sodium-native') as Sodium;
