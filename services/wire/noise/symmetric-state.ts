// The SymmetricState of the Noise protocol framework (section 5.2) with SHA-256: the keys and the hash of a handshake.
import { hkdfSync } from 'node:crypto';
import { type Aead, KEY_BYTES, TAG_BYTES } from './aead.ts';
import { CipherState } from './cipher-state.ts';
import type { NoiseCrypto } from './crypto.ts';

/** The name of the protocol. It has exactly the length of a hash, so it is the first chaining key as it is. */
export const PROTOCOL_NAME = 'Noise_XX_25519_ChaChaPoly_SHA256';

const EMPTY = Buffer.alloc(0);

/** Length of a hash, in bytes. */
const HASH_BYTES = 32;

/** Where hash and data are put together for the next hash. Longer data gets a buffer of its own. */
const joined = Buffer.allocUnsafeSlow(1024);

export class SymmetricState {
  readonly #aead: Aead;
  readonly #sha256: NoiseCrypto['sha256'];
  #chainingKey: Buffer = Buffer.from(PROTOCOL_NAME);
  #cipher: CipherState | undefined;
  /** The hash of all that both sides have sent. */
  readonly hash: Buffer = Buffer.from(PROTOCOL_NAME);

  constructor({ aead, sha256 }: Pick<NoiseCrypto, 'aead' | 'sha256'>, prologue: Uint8Array = EMPTY) {
    this.#aead = aead;
    this.#sha256 = sha256;
    this.mixHash(prologue);
  }

  /** Bytes that `encryptAndHash` adds: none before the first key. */
  get overheadBytes(): number {
    return this.#cipher === undefined ? 0 : TAG_BYTES;
  }

  mixHash(data: Uint8Array): void {
    const length = HASH_BYTES + data.length;
    const message = length <= joined.length ? joined.subarray(0, length) : Buffer.allocUnsafe(length);
    message.set(this.hash);
    message.set(data, HASH_BYTES);
    this.#sha256(this.hash, message);
  }

  mixKey(secret: Uint8Array): void {
    const [chainingKey, key] = this.#derive(secret);
    this.#chainingKey = chainingKey;
    this.#cipher = new CipherState(this.#aead, key);
  }

  /** Encrypts `plain`. */
  encryptAndHash(plain: Uint8Array): Uint8Array {
    let sealed = plain;
    if (this.#cipher !== undefined) {
      sealed = Buffer.alloc(plain.length + TAG_BYTES);
      this.#cipher.seal(sealed, plain, this.hash);
    }
    this.mixHash(sealed);
    return sealed;
  }

  /** Decrypts `sealed`; `undefined` if it is too short or not authentic. */
  decryptAndHash(sealed: Uint8Array): Buffer | undefined {
    const length = sealed.length - this.overheadBytes;
    if (length < 0) return undefined;
    const plain = Buffer.alloc(length);
    if (this.#cipher === undefined) plain.set(sealed);
    else if (!this.#cipher.open(plain, sealed, this.hash)) return undefined;
    this.mixHash(sealed);
    return plain;
  }

  /** The ciphers of the connection: of what the initiator sends, and of what the responder sends. */
  split(): [CipherState, CipherState] {
    const [first, second] = this.#derive(EMPTY);
    return [new CipherState(this.#aead, first), new CipherState(this.#aead, second)];
  }

  #derive(secret: Uint8Array): [Buffer, Buffer] {
    // HKDF of the framework (section 4.3) is that of RFC 5869 with the chaining key as salt and without info.
    const derived = Buffer.from(hkdfSync('sha256', secret, this.#chainingKey, EMPTY, 2 * KEY_BYTES));
    return [derived.subarray(0, KEY_BYTES), derived.subarray(KEY_BYTES)];
  }
}
