import { describe, expect, test } from '@jest/globals';
import { defaultCrypto } from '@libp2p/noise/crypto';
import { createSodiumCrypto, loadNoiseCrypto } from './noise-crypto.ts';

const sodium = createSodiumCrypto();

describe('the key agreement with libsodium', () => {
  test('rejects a key of another length', () => {
    const { privateKey, publicKey } = sodium.generateX25519KeyPair();
    expect(() => sodium.generateX25519SharedKey(privateKey, publicKey.subarray(1))).toThrow('has 31.');
  });

  test('agrees with the implementation of the library', () => {
    const [a, b] = [sodium.generateX25519KeyPair(), defaultCrypto.generateX25519KeyPair()];
    const secret = defaultCrypto.generateX25519SharedKey(b.privateKey, a.publicKey);
    expect(Buffer.from(sodium.generateX25519SharedKey(a.privateKey, b.publicKey))).toEqual(
      Buffer.from(secret),
    );
  });

  test('rejects a public key that gives the same secret with every private key', () => {
    const { privateKey } = sodium.generateX25519KeyPair();
    expect(() => sodium.generateX25519SharedKey(privateKey, new Uint8Array(32))).toThrow();
  });

  test('is used where the addon can be loaded', () => {
    expect(loadNoiseCrypto().generateX25519SharedKey).not.toBe(defaultCrypto.generateX25519SharedKey);
  });
});
