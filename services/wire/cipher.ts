// XSalsa20 as a continuous keystream, with two implementations: libsodium, and JavaScript for programs that cannot load
// a native addon, such as the peer bundled as one file.
import { createRequire } from 'node:module';
import { xsalsa20 } from '@noble/ciphers/salsa.js';
import { describeError } from '../shared/errors.ts';

/** Length of an XSalsa20 nonce, in bytes. */
export const NONCE_BYTES = 24;

/** Length of one block of the keystream, in bytes. */
const BLOCK_BYTES = 64;

/** The keystream of one direction of a connection. */
export interface Keystream {
  /** Writes `source` XOR keystream into `target`, which has the same length. Both may be the same memory. */
  xor(target: Uint8Array, source: Uint8Array): void;
}

/** An implementation of XSalsa20. */
export interface Cipher {
  /** For logs and metrics. */
  readonly name: 'sodium-native' | 'noble';
  /** The reason if the faster implementation is not used. */
  readonly reason?: string;
  /** The nonce may be changed after the call. */
  keystream(key: Uint8Array, nonce: Uint8Array): Keystream;
}

/** The functions of `sodium-native` that are used here. The package has no types. */
interface Sodium {
  readonly crypto_stream_xor_STATEBYTES: number;
  crypto_stream_xor_init(state: Uint8Array, nonce: Uint8Array, key: Uint8Array): void;
  crypto_stream_xor_update(state: Uint8Array, target: Uint8Array, source: Uint8Array): void;
}

/** Loads the fastest cipher that works on this machine. */
export function loadCipher(): Cipher {
  try {
    return createSodiumCipher();
  } catch (error) {
    return { ...createNobleCipher(), reason: describeError(error).split('\n', 1)[0] ?? '' };
  }
}

/** libsodium's XSalsa20. @throws when the addon cannot be loaded. */
export function createSodiumCipher(): Cipher {
  const sodium = createRequire(import.meta.url)('sodium-native') as Sodium;
  return {
    name: 'sodium-native',
    keystream(key, nonce) {
      const state = Buffer.allocUnsafeSlow(sodium.crypto_stream_xor_STATEBYTES);
      sodium.crypto_stream_xor_init(state, nonce, key);
      return new SodiumKeystream(sodium, state);
    },
  };
}

/** A class, because each connection has two. */
class SodiumKeystream implements Keystream {
  readonly #sodium: Sodium;
  readonly #state: Uint8Array;

  constructor(sodium: Sodium, state: Uint8Array) {
    this.#sodium = sodium;
    this.#state = state;
  }

  xor(target: Uint8Array, source: Uint8Array): void {
    if (source.length > 0) this.#sodium.crypto_stream_xor_update(this.#state, target, source);
  }
}

/**
 * XSalsa20 in JavaScript. Its block counter has 32 bits, so one direction of a connection can carry 256 GiB. Above this
 * limit `xor` throws and the connection ends.
 */
export function createNobleCipher(): Cipher {
  return {
    name: 'noble',
    keystream(key, sharedNonce) {
      const nonce = Uint8Array.from(sharedNonce);
      let position = 0;
      return {
        xor(target, source) {
          // The library starts at block boundaries, so the used bytes of the current block are prepended as padding.
          const used = position % BLOCK_BYTES;
          const padded = new Uint8Array(used + source.length);
          padded.set(source, used);
          const counter = (position - used) / BLOCK_BYTES;
          target.set(xsalsa20(key, nonce, padded, undefined, counter).subarray(used));
          position += source.length;
        },
      };
    },
  };
}
