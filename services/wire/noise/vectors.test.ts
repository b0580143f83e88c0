// Published test vectors: RFC 8439 for the AEAD, RFC 7748 for X25519, and those of the Noise community for the pattern.
import { describe, expect, test } from '@jest/globals';
import { type NoiseCrypto, createSodiumNoiseCrypto, loadNoiseCrypto, nodeNoiseCrypto } from './crypto.ts';
import { loadSodium } from './sodium.ts';
import { XxPattern } from './xx-pattern.ts';

const hex = (text: string): Buffer => Buffer.from(text, 'hex');

const sodium = loadSodium();
const implementations: NoiseCrypto[] = [
  ...(sodium === undefined ? [] : [createSodiumNoiseCrypto(sodium)]),
  nodeNoiseCrypto,
];

test('libsodium is used where its addon can be loaded', () => {
  expect(loadNoiseCrypto().name).toBe('sodium-native');
});

const XX_VECTORS = [
  {
    name: 'no payloads',
    payloads: ['', '', ''],
    messages: [
      '358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254',
      '64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d484663414af878d3e46a2f58911a816d6e8346d4ea17a6f2a0bb4ef4ed56c133cff4560a34e36ea82109f26cf2e5a5caf992b608d55c747f615e5a3425a7a19eefb8f',
      '87f864c11ba449f46a0a4f4e2eacbb7b0457784f4fca1937f572c93603e9c4d97e5ea11b16f3968710b23a3be3202dc1b5e1ce3c963347491e74f5c0768a9b42',
    ],
  },
  {
    name: 'payloads',
    payloads: ['746573745f6d73675f30', '746573745f6d73675f31', '746573745f6d73675f32'],
    messages: [
      '358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254746573745f6d73675f30',
      '64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d484663414af878d3e46a2f58911a816d6e8346d4ea17a6f2a0bb4ef4ed56c133cff4572e7a2ba5123ac30618b3d205f5c2d17f50cbca216483ac56bcc78e33bf520303278db641e5e731b2e3a',
      '87f864c11ba449f46a0a4f4e2eacbb7b0457784f4fca1937f572c93603e9c4d9f27e318e43ba630594c4d08eeb3b36d97c7377a2f4f9144b2f0c8095ad92140505b2ab53eff244b14138',
    ],
  },
];

describe.each(implementations)('with $name', (crypto) => {
  const { aead, keyAgreement, sha256 } = crypto;

  test('the AEAD seals and opens as in RFC 8439, section 2.8.2, in place too', () => {
    const plain = Buffer.from(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
    );
    const key = hex('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f');
    const nonce = hex('070000004041424344454647');
    const associated = hex('50515253c0c1c2c3c4c5c6c7');
    const expected = hex(
      'd31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691',
    );
    const buffer = Buffer.alloc(expected.length);
    plain.copy(buffer);
    aead.seal(buffer, buffer.subarray(0, plain.length), nonce, key, associated);
    expect(buffer).toEqual(expected);
    expect(aead.open(buffer.subarray(0, plain.length), buffer, nonce, key, associated)).toBe(true);
    expect(buffer.subarray(0, plain.length)).toEqual(plain);
    for (let at = 0; at < expected.length; at += 1) {
      const changed = Buffer.from(expected);
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      expect(aead.open(Buffer.alloc(plain.length), changed, nonce, key, associated)).toBe(false);
    }
    expect(aead.open(Buffer.alloc(plain.length), Buffer.from(expected), nonce, key)).toBe(false);
  });

  test('X25519 agrees as in RFC 7748, section 5.2, and refuses keys that give the secret zero', () => {
    const keys = keyAgreement.fromPrivate(
      hex('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4'),
    );
    expect(keys.agree(hex('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c'))).toEqual(
      hex('c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552'),
    );
    expect(keys.agree(Buffer.alloc(32))).toBeUndefined();
    expect(keys.agree(Buffer.alloc(32, 1).fill(0, 1))).toBeUndefined();
    expect(() => keys.agree(Buffer.alloc(31))).toThrow('this one has 31.');
    const [one, two] = [keyAgreement.generate(), keyAgreement.generate()];
    expect(one.agree(two.publicKey)).toEqual(two.agree(one.publicKey));
  });

  test('Ed25519 verifies as in RFC 8032, section 7.1, test 2', () => {
    const publicKey = hex('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c');
    const signature = hex(
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    );
    const message = hex('72');
    expect(crypto.verifyEd25519(publicKey, message, signature)).toBe(true);
    expect(crypto.verifyEd25519(publicKey, hex('73'), signature)).toBe(false);
    expect(crypto.verifyEd25519(publicKey, message, signature.subarray(1))).toBe(false);
    expect(crypto.verifyEd25519(publicKey.subarray(1), message, signature)).toBe(false);
    expect(crypto.verifyEd25519(publicKey, message, Buffer.from(signature).fill(0xff, 32))).toBe(false);
  });

  test.each(XX_VECTORS)(
    'the pattern XX writes the messages of the vector ($name)',
    ({ payloads, messages }) => {
      const initiator = new XxPattern('initiator', {
        aead,
        sha256,
        staticKeys: keyAgreement.fromPrivate(
          hex('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'),
        ),
        ephemeralKeys: keyAgreement.fromPrivate(
          hex('202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f'),
        ),
      });
      const responder = new XxPattern('responder', {
        aead,
        sha256,
        staticKeys: keyAgreement.fromPrivate(
          hex('0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20'),
        ),
        ephemeralKeys: keyAgreement.fromPrivate(
          hex('4142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60'),
        ),
      });
      for (const [index, payload] of payloads.entries()) {
        const [writer, reader] = index === 1 ? [responder, initiator] : [initiator, responder];
        const message = writer.write(hex(payload));
        expect(message.toString('hex')).toBe(messages[index]);
        expect(reader.read(message).toString('hex')).toBe(payload);
      }
      const [a, b] = [initiator.split(), responder.split()];
      const sealed = Buffer.alloc(31);
      a.send.seal(sealed, Buffer.from('yellowsubmarine'));
      expect(sealed.toString('hex')).toBe('a52ef02ba60e12696d1d6b9ef4245c88fca757b6134ad6e76b56e310a6adf6');
      b.send.seal(sealed, Buffer.from('submarineyellow'));
      expect(sealed.toString('hex')).toBe('2445aa438ebd649281c636cc7269ca82f1d9023d72520943aeabf909cdf521');
      const plain = Buffer.alloc(15);
      expect([a.receive.open(plain, sealed), plain.toString()]).toEqual([true, 'submarineyellow']);
      expect(a.receive.open(plain, sealed)).toBe(false);
    },
  );

  test('the pattern throws when it is not its turn', () => {
    const keys = {
      aead,
      sha256,
      staticKeys: keyAgreement.generate(),
      ephemeralKeys: keyAgreement.generate(),
    };
    expect(() => new XxPattern('responder', keys).write(Buffer.alloc(0))).toThrow('read1');
    expect(() => new XxPattern('initiator', keys).read(Buffer.alloc(32))).toThrow('write1');
    expect(() => new XxPattern('initiator', keys).split()).toThrow('not done');
  });
});
