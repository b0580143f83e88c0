// Handshakes with hostile bytes, and with keys of all types.
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { createBytePipe } from '../../../testing/byte-pipe.ts';
import { CollectingSink } from '../../../testing/collecting-sink.ts';
import { bytesField, numberField } from '../protobuf.ts';
import { loadNoiseCrypto, nodeNoiseCrypto } from './crypto.ts';
import { createEd25519Signer, createNoiseIdentity, type NoiseIdentity } from './identity.ts';
import { encodePayload, signedBytes } from './payload.ts';
import type { HandshakeRole } from './handshake.ts';
import { startNoise } from './secure.ts';
import { XxPattern } from './xx-pattern.ts';

const signer = createEd25519Signer(randomBytes(32));

const framed = (message: Buffer): Buffer => {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
};

describe.each([loadNoiseCrypto(), nodeNoiseCrypto])('with $name', (crypto) => {
  async function createIdentity(): Promise<NoiseIdentity> {
    return createNoiseIdentity({ signer, crypto, muxers: [] });
  }

  test('any bytes, in any division, end a handshake with a reason, in both roles', () => {
    const length = fc.constantFrom(0, 1, 31, 32, 96, 200, 8192, 8193, 0xffff);
    return fc.assert(
      fc.asyncProperty(
        fc.constantFrom<HandshakeRole>('responder', 'initiator'),
        length,
        fc.uint8Array({ maxLength: 400 }),
        fc.integer({ min: 1, max: 50 }),
        async (role, announced, bytes, size) => {
          const header = Buffer.alloc(2);
          header.writeUInt16BE(announced);
          const attack = Buffer.concat([header, bytes]);
          const failed = await attackHandshake(attack, { role, size });
          expect(failed).toMatch(/^NOISE_/);
          expect(await attackHandshake(attack, { role })).toBe(failed);
        },
      ),
      { seed: 16, numRuns: 100 },
    );
  });

  /** Sends bytes to one side, then closes; the code of its failure. */
  async function attackHandshake(
    bytes: Buffer,
    { role = 'responder', size = 0xffff }: { role?: HandshakeRole; size?: number } = {},
  ): Promise<string | undefined> {
    const pipe = createBytePipe({ isManual: true, readBytes: () => size });
    pipe.a.sink = new CollectingSink();
    let code: string | undefined;
    startNoise(pipe.b, {
      role,
      identity: await createIdentity(),
      owner: {
        onSecured: () => new CollectingSink(),
        onFailed: (error) => void (code = (error as Error & { code?: string }).code),
      },
    });
    pipe.a.write(bytes, 0, bytes.length);
    pipe.a.end();
    pipe.run();
    return code;
  }

  describe('a responder refuses', () => {
    test.each([
      {
        what: 'a message above the maximum',
        bytes: framed(Buffer.alloc(8193)),
        code: 'NOISE_HANDSHAKE_SIZE',
      },
      { what: 'an empty message', bytes: Buffer.alloc(2), code: 'NOISE_HANDSHAKE_SIZE' },
      { what: 'a short key', bytes: framed(Buffer.alloc(31)), code: 'NOISE_HANDSHAKE_SIZE' },
      { what: 'a key that gives the secret zero', bytes: framed(Buffer.alloc(32)), code: 'NOISE_HANDSHAKE' },
      { what: 'the end of the connection', bytes: Buffer.alloc(1), code: 'NOISE_TRUNCATED' },
    ])('$what', async ({ bytes, code }) => {
      expect(await attackHandshake(bytes)).toBe(code);
    });

    const ed25519 = Buffer.from(signer.publicKeyProtobuf);
    const valid = (staticKey: Buffer): Buffer => signer.sign(signedBytes(staticKey));

    test.each([
      { what: 'a payload without key', payload: () => Buffer.alloc(0), code: 'NOISE_PAYLOAD' },
      {
        what: 'a payload that is no message',
        payload: () => Buffer.from([0x0a, 0x7f]),
        code: 'NOISE_PAYLOAD',
      },
      {
        what: 'a signature of other bytes',
        payload: () => encodePayload(ed25519, signer.sign(Buffer.from('x')), []),
        code: 'NOISE_SIGNATURE',
      },
      {
        what: 'a signature that is too long',
        payload: () => encodePayload(ed25519, Buffer.alloc(1025), []),
        code: 'NOISE_SIGNATURE',
      },
      {
        what: 'an RSA key of 1,024 bits',
        payload: () => encodePayload(keyOf(0, rsa(1024)), Buffer.alloc(128), []),
        code: 'NOISE_PAYLOAD',
      },
      {
        what: 'a key of an unknown type',
        payload: (key: Buffer) => encodePayload(keyOf(9, Buffer.alloc(32)), valid(key), []),
        code: 'NOISE_PAYLOAD',
      },
      {
        what: 'a key of Ed25519 with 31 bytes',
        payload: (key: Buffer) => encodePayload(keyOf(1, Buffer.alloc(31)), valid(key), []),
        code: 'NOISE_PAYLOAD',
      },
    ])('$what', async ({ payload, code }) => {
      expect(await failWith(payload)).toBe(code);
    });

    test('a last message that was changed anywhere', async () => {
      for (let part = 0; part < 20; part += 1)
        expect(
          await failWith(
            (key) => encodePayload(ed25519, valid(key), []),
            (proof) => {
              const at = 2 + Math.floor((part / 20) * (proof.length - 2));
              proof.writeUInt8(proof.readUInt8(at) ^ 0x10, at);
            },
          ),
        ).toBe('NOISE_HANDSHAKE');
    });

    test('nothing of a valid payload with fields that it does not know', async () => {
      const unknown = Buffer.concat([
        bytesField(3, Buffer.from('early data')),
        numberField(7, 2 ** 40),
        bytesField(4, Buffer.concat([bytesField(1, Buffer.from('hash')), bytesField(2, Buffer.alloc(500))])),
        Buffer.from([0x0d + 0x40, 1, 2, 3, 4]),
      ]);
      expect(
        await failWith((key) => Buffer.concat([encodePayload(ed25519, valid(key), []), unknown])),
      ).toBeUndefined();
    });

    test.each(['prime256v1', 'secp384r1', 'secp521r1'])(
      'nothing of a peer with an ECDSA key on %s',
      async (namedCurve) => {
        const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve });
        const key = keyOf(3, publicKey.export({ format: 'der', type: 'spki' }));
        const proof = (staticKey: Buffer): Buffer => sign('sha256', signedBytes(staticKey), privateKey);
        expect(await failWith((staticKey) => encodePayload(key, proof(staticKey), []))).toBeUndefined();
        expect(await failWith(() => encodePayload(key, proof(Buffer.alloc(32)), []))).toBe('NOISE_SIGNATURE');
      },
    );

    /** Shakes hands with a payload of the test; the code of the failure of the responder. */
    async function failWith(
      payload: (staticKey: Buffer) => Buffer,
      change: (proof: Buffer) => void = () => {},
    ): Promise<string | undefined> {
      const staticKeys = crypto.keyAgreement.generate();
      const attacker = new XxPattern('initiator', {
        aead: crypto.aead,
        sha256: crypto.sha256,
        staticKeys,
        ephemeralKeys: crypto.keyAgreement.generate(),
      });
      const pipe = createBytePipe({ isManual: true });
      const answers = new CollectingSink();
      pipe.a.sink = answers;
      let code: string | undefined = 'unfinished';
      startNoise(pipe.b, {
        role: 'responder',
        identity: await createIdentity(),
        owner: {
          onSecured() {
            code = undefined;
            return new CollectingSink();
          },
          onFailed: (error) => void (code = (error as Error & { code?: string }).code),
        },
      });
      const hello = framed(attacker.write(Buffer.alloc(0)));
      pipe.a.write(hello, 0, hello.length);
      pipe.run();
      attacker.read(answers.bytes.subarray(2));
      const proof = framed(attacker.write(payload(staticKeys.publicKey)));
      change(proof);
      pipe.a.write(proof, 0, proof.length);
      pipe.run();
      return code;
    }
  });
});

function rsa(bits: number): Buffer {
  return generateKeyPairSync('rsa', { modulusLength: bits }).publicKey.export({
    format: 'der',
    type: 'spki',
  });
}

function keyOf(type: number, data: Buffer): Buffer {
  return Buffer.concat([numberField(1, type), bytesField(2, data)]);
}
