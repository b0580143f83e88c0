// The key agreement of Noise with libsodium. A handshake creates one key pair and agrees on three secrets; the library's
// implementation on top of Node.js takes about a quarter of the CPU time of a handshake, because it parses and encodes
// each key. Everything else is the library's.
import { createRequire } from 'node:module';
import type { ICryptoInterface, KeyPair } from '@libp2p/noise';
import { defaultCrypto } from '@libp2p/noise/crypto';

/** Length of a public key, a private key and a secret of X25519, in bytes. */
const KEY_BYTES = 32;

/** The functions of `sodium-native`, or of its addon, which returns a status instead of throwing and checks no length. */
interface Sodium {
  crypto_box_keypair(publicKey: Uint8Array, privateKey: Uint8Array): number | undefined;
  crypto_scalarmult(secret: Uint8Array, privateKey: Uint8Array, publicKey: Uint8Array): number | undefined;
}

/** The fastest implementation that works on this machine. */
export function loadNoiseCrypto(): ICryptoInterface {
  try {
    return createSodiumCrypto();
  } catch {
    return defaultCrypto;
  }
}

/** @throws when the addon cannot be loaded */
export function createSodiumCrypto(): ICryptoInterface {
  const sodium = createRequire(import.meta.url)('sodium-native') as Sodium;

  function generateX25519KeyPair(): KeyPair {
    const [publicKey, privateKey] = [new Uint8Array(KEY_BYTES), new Uint8Array(KEY_BYTES)];
    check(sodium.crypto_box_keypair(publicKey, privateKey));
    return { publicKey, privateKey };
  }

  return {
    ...defaultCrypto,
    generateX25519KeyPair,
    generateX25519SharedKey(privateKey, publicKey) {
      const secret = new Uint8Array(KEY_BYTES);
      check(sodium.crypto_scalarmult(secret, toKey(privateKey), toKey(publicKey)));
      return secret;
    },
  };
}

type Bytes = Parameters<ICryptoInterface['generateX25519SharedKey']>[0];

function toKey(bytes: Bytes): Uint8Array {
  if (bytes.byteLength !== KEY_BYTES)
    throw new Error(`A key of X25519 has ${KEY_BYTES} bytes; this one has ${bytes.byteLength}.`);
  return bytes.subarray();
}

/** libsodium fails for public keys that give the same secret with every private key. */
function check(status: number | undefined): void {
  if (status !== undefined && status !== 0) throw new Error('The public key is not valid.');
}
