// The CipherState of the Noise protocol framework (section 5.1): one direction of an encrypted connection.
import { type Aead, NONCE_BYTES, TAG_BYTES } from './aead.ts';
import { NoiseError } from './errors.ts';

/**
 * Maximum messages of one key. The specification allows 2^64 - 1; this is the largest number that is counted exactly, and
 * is not reached within centuries.
 */
const MAX_MESSAGES = Number.MAX_SAFE_INTEGER;

/** The counter starts here in the nonce; the four bytes before it are zero. */
const COUNTER_AT = 4;

/** Largest number of the lower four bytes of a counter, and one. */
const LOW_RANGE = 2 ** 32;

/** The nonce of the present call, of whichever state: an idle connection keeps only its counters. */
const nonce = Buffer.alloc(NONCE_BYTES);

/** A class, because one object exists per direction of each connection and is called for each message. */
export class CipherState {
  readonly #aead: Aead;
  readonly #key: Uint8Array;
  #messages: number;

  /** @param messages number of messages that the key has encrypted */
  constructor(aead: Aead, key: Uint8Array, messages = 0) {
    this.#aead = aead;
    this.#key = key;
    this.#messages = messages;
  }

  /** Whether the key must not be used any more. */
  get isExhausted(): boolean {
    return this.#messages >= MAX_MESSAGES;
  }

  /** Encrypts `plain` to `sealed`, which is `TAG_BYTES` longer. @throws NoiseError above the maximum of messages */
  seal(sealed: Uint8Array, plain: Uint8Array, associated?: Uint8Array): void {
    this.#count();
    this.#aead.seal(sealed, plain, this.#nonce(), this.#key, associated);
    this.#messages += 1;
  }

  /**
   * Decrypts `sealed` to `plain`. Returns false if it is not authentic.
   *
   * @throws NoiseError above the maximum of messages
   */
  open(plain: Uint8Array, sealed: Uint8Array, associated?: Uint8Array): boolean {
    this.#count();
    if (!this.#aead.open(plain, sealed, this.#nonce(), this.#key, associated)) return false;
    this.#messages += 1;
    return true;
  }

  #count(): void {
    if (this.isExhausted)
      throw new NoiseError('NOISE_MESSAGES_EXHAUSTED', 'The connection has carried the maximum of messages.');
  }

  /** The number of the next message. Valid until the next call, also of another state. */
  #nonce(): Uint8Array {
    const low = this.#messages >>> 0;
    nonce[COUNTER_AT] = low;
    nonce[COUNTER_AT + 1] = low >>> 8;
    nonce[COUNTER_AT + 2] = low >>> 16;
    nonce[COUNTER_AT + 3] = low >>> 24;
    nonce.writeUInt32LE((this.#messages - low) / LOW_RANGE, COUNTER_AT + 4);
    return nonce;
  }
}

/** Bytes that encryption adds to a message. */
export const OVERHEAD_BYTES = TAG_BYTES;
