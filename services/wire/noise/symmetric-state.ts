// The SymmetricState of the Noise protocol framework (section 5.2) with SHA-256: the keys and the hash of a handshake.
import { hash, hkdfSync } from 'node:crypto';
import { type Aead, KEY_BYTES, TAG_BYTES } from './aead.ts';
import { CipherState } from './cipher-state.ts';

/** The name of the protocol. It has exactly the length of a hash, so it is the first chaining key as it is. */
export const PROTOCOL_NAME = 'Noise_XX_25519_ChaChaPoly_SHA256';

const EMPTY = Buffer.alloc(0);

export class SymmetricState {
  readonly #aead: Aead;
  #chainingKey: Buffer = Buffer.from(PROTOCOL_NAME);
  #cipher: CipherState | undefined;
  /** The hash of all that both sides have sent. */
  hash: Buffer = Buffer.from(PROTOCOL_NAME);

  constructor(aead: Aead, prologue: Uint8Array = EMPTY) {
    this.#aead = aead;
    this.mixHash(prologue);
  }

  /** Bytes that `encryptAndHash` adds: none before the first key. */
  get overheadBytes(): number {
    return this.#cipher === undefined ? 0 : TAG_BYTES;
  }

  mixHash(data: Uint8Array): void {
    this.hash = hash('sha256', Buffer.concat([this.hash, data]), 'buffer');
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
