import { createHash, randomBytes, randomInt } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { createNobleCipher, createSodiumCipher, loadCipher } from './cipher.ts';

const key = randomBytes(32);
const nonce = randomBytes(24);

describe.each([createSodiumCipher(), createNobleCipher()])('$name', (cipher) => {
  test('produces the keystream of the NaCl reference', () => {
    // "Cryptography in NaCl", section 10: firstkey, nonce, and the SHA-256 of 4,194,304 bytes of the keystream.
    const firstKey = Buffer.from('1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389', 'hex');
    const naclNonce = Buffer.from('69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37', 'hex');
    const stream = Buffer.alloc(4_194_304);
    cipher.keystream(firstKey, naclNonce).xor(stream, stream);
    expect(stream.subarray(0, 8).toString('hex')).toBe('eea6a7251c1e7291');
    expect(createHash('sha256').update(stream).digest('hex')).toBe(
      '662b9d0e3463029156069b12f918691a98f7dfb2ca0393c96bbfc6b1fbd630a2',
    );
  });

  test('produces the same bytes in chunks of any size, in place or not', () => {
    const plain = randomBytes(300_000);
    const whole = Buffer.alloc(plain.length);
    cipher.keystream(key, nonce).xor(whole, plain);
    const cut = Buffer.from(plain);
    const stream = cipher.keystream(key, nonce);
    for (let offset = 0; offset < cut.length;) {
      const chunk = cut.subarray(offset, offset + randomInt(0, 3_000));
      stream.xor(chunk, chunk);
      offset += chunk.length;
    }
    expect(cut.equals(whole)).toBe(true);
  });
});

test('all implementations produce the same bytes for all lengths and offsets around a block boundary', () => {
  for (let start = 0; start < 130; start += 13) {
    for (let length = 0; length < 200; length += 7) {
      const plain = randomBytes(start + length);
      const [sodium, noble] = [createSodiumCipher(), createNobleCipher()].map((cipher) => {
        const stream = cipher.keystream(key, nonce);
        const out = Buffer.alloc(plain.length);
        stream.xor(out.subarray(0, start), plain.subarray(0, start));
        stream.xor(out.subarray(start), plain.subarray(start));
        return out.toString('hex');
      });
      expect(sodium).toBe(noble);
    }
  }
});

test('the native cipher is used when it can be loaded', () => {
  expect(loadCipher().name).toBe('sodium-native');
});
