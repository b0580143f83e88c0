// Our Noise and the stock one of libp2p, in both roles, with both implementations of the cryptography and any chunking.
import { describe, expect, test } from '@jest/globals';
import { generateKeyPair, publicKeyToProtobuf } from '@libp2p/crypto/keys';
import type { KeyType, PrivateKey, StreamMuxerFactory } from '@libp2p/interface';
import { defaultLogger } from '@libp2p/logger';
import { noise } from '@libp2p/noise';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import * as fc from 'fast-check';
import { createBytePipe } from '../../../testing/byte-pipe.ts';
import { CollectingSink } from '../../../testing/collecting-sink.ts';
import { createPipeConnection } from '../../../testing/pipe-connection.ts';
import { until } from '../../../testing/wait.ts';
import type { NoiseChannel } from './channel.ts';
import { loadNoiseCrypto, type NoiseCrypto, nodeNoiseCrypto } from './crypto.ts';
import type { Handshake, HandshakeRole } from './handshake.ts';
import { createNoiseIdentity, type NoiseIdentity } from './identity.ts';
import { startNoise } from './secure.ts';

const YAMUX = '/yamux/1.0.0';
const MPLEX = '/mplex/6.7.0';

const ourKey = await generateKeyPair('Ed25519');
const stockKey = await generateKeyPair('Ed25519');

async function identityOf(
  key: PrivateKey,
  crypto: NoiseCrypto,
  muxers: readonly string[],
): Promise<NoiseIdentity> {
  const signer = {
    publicKeyProtobuf: publicKeyToProtobuf(key.publicKey),
    sign: (bytes: Uint8Array) => key.sign(bytes),
  };
  return createNoiseIdentity({ signer, crypto, muxers });
}

function createStock(privateKey: PrivateKey, muxers: readonly string[]) {
  const factories = new Map(muxers.map((protocol) => [protocol, { protocol } as StreamMuxerFactory]));
  const upgrader = { getStreamMuxers: () => factories };
  return noise()({ privateKey, logger: defaultLogger(), upgrader } as unknown as Parameters<
    ReturnType<typeof noise>
  >[0]);
}

interface Trial {
  readonly role: HandshakeRole;
  readonly crypto?: NoiseCrypto;
  readonly sizes?: readonly number[];
  readonly headroom?: number;
  readonly ours?: { readonly key?: PrivateKey; readonly muxers?: readonly string[] };
  readonly stock?: { readonly key?: PrivateKey; readonly muxers?: readonly string[] };
  readonly expectedPeer?: Buffer;
}

interface Connected {
  readonly channel: NoiseChannel;
  readonly handshake: Handshake;
  readonly received: CollectingSink;
  readonly stock: Awaited<ReturnType<ReturnType<typeof createStock>['secureInbound']>>;
}

async function connect(trial: Trial): Promise<Connected> {
  const { role, crypto = loadNoiseCrypto(), sizes = [], headroom = 64, ours = {}, stock = {} } = trial;
  let reads = 0;
  const readBytes = () => sizes[reads++ % sizes.length] ?? 0xffff_ffff;
  const pipe = createBytePipe({ readBytes, headroomBytes: () => headroom });
  const identity = await identityOf(ours.key ?? ourKey, crypto, ours.muxers ?? []);
  const secured = Promise.withResolvers<Omit<Connected, 'stock'>>();
  startNoise(pipe.a, {
    role,
    identity,
    expectedPeer: trial.expectedPeer,
    owner: {
      onSecured(channel, handshake) {
        const received = new CollectingSink();
        secured.resolve({ channel, handshake, received });
        return received;
      },
      onFailed: secured.reject,
    },
  });
  const encrypter = createStock(stock.key ?? stockKey, stock.muxers ?? []);
  const secureStock =
    role === 'initiator'
      ? encrypter.secureInbound(createPipeConnection(pipe.b, 'inbound'))
      : encrypter.secureOutbound(createPipeConnection(pipe.b, 'outbound'));
  const [mine, other] = await Promise.allSettled([secured.promise, secureStock]);
  if (mine.status === 'rejected') throw mine.reason;
  if (other.status === 'rejected') throw other.reason;
  return { ...mine.value, stock: other.value };
}

const ROLES: HandshakeRole[] = ['initiator', 'responder'];
const CASES = [loadNoiseCrypto(), nodeNoiseCrypto].flatMap((crypto) =>
  ROLES.map((role) => ({ role, crypto, name: crypto.name })),
);

/** Sizes of the reads of one trial, and of the bytes before them: some leave no space for the kept part. */
const chunking = fc.oneof(
  fc.record({
    sizes: fc.array(fc.integer({ min: 10, max: 400 }), { minLength: 1, maxLength: 20 }),
    headroom: fc.constantFrom(0, 1, 300),
  }),
  fc.record({
    sizes: fc.array(fc.integer({ min: 1000, max: 70_000 }), { minLength: 1, maxLength: 20 }),
    headroom: fc.constantFrom(0, 17, 70_000),
  }),
);

const writes = fc.array(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 70_000 })), {
  minLength: 1,
  maxLength: 3,
});

describe.each(CASES)('our $role with $name', ({ role, crypto }) => {
  test('and the stock one agree on the peer and exchange bytes in both directions', async () => {
    await fc.assert(
      fc.asyncProperty(chunking, writes, writes, async ({ sizes, headroom }, sent, answered) => {
        const { channel, handshake, received, stock } = await connect({ role, crypto, sizes, headroom });
        expect(handshake.peer).toEqual(Buffer.from(peerIdFromPrivateKey(stockKey).toMultihash().bytes));
        expect(handshake.publicKey).toEqual(Buffer.from(publicKeyToProtobuf(stockKey.publicKey)));
        expect(stock.remotePeer.toString()).toBe(peerIdFromPrivateKey(ourKey).toString());
        const fromStock: Uint8Array[] = [];
        stock.connection.addEventListener('message', ({ data }) => fromStock.push(data.subarray()));
        const there = sent.map((length, index) => Buffer.alloc(length, index + 1));
        const back = answered.map((length, index) => Buffer.alloc(length, index + 101));
        for (const bytes of there) channel.write(bytes, 0, bytes.length);
        for (const bytes of back) stock.connection.send(bytes);
        const [total, expected] = [Buffer.concat(back).length, Buffer.concat(there)];
        await until(() => received.bytes.length >= total, 'the bytes of the stock side have arrived');
        await until(() => Buffer.concat(fromStock).length >= expected.length, 'our bytes have arrived');
        expect(received.bytes.equals(Buffer.concat(back))).toBe(true);
        expect(Buffer.concat(fromStock).equals(expected)).toBe(true);
        channel.end();
        await until(() => received.closes === 1 && stock.connection.status === 'closed', 'both are closed');
        expect(received.error).toBeUndefined();
      }),
      { seed: 16, numRuns: 12 },
    );
  });

  test.each([
    { ours: [YAMUX, MPLEX], stock: [YAMUX, MPLEX], muxer: YAMUX },
    { ours: [YAMUX, MPLEX], stock: [MPLEX], muxer: MPLEX },
    { ours: [YAMUX], stock: [], muxer: undefined },
    { ours: [], stock: [YAMUX], muxer: undefined },
  ])('chooses the muxer of $ours and $stock', async ({ ours, stock, muxer }) => {
    const connected = await connect({ role, crypto, ours: { muxers: ours }, stock: { muxers: stock } }).catch(
      (error: unknown) => error as Error,
    );
    // The stock implementation fails when it has no muxer and the other side offers one.
    if (connected instanceof Error) {
      expect([connected.message, stock.length * ours.length]).toEqual([
        expect.stringContaining('no common muxers'),
        0,
      ]);
      return;
    }
    expect(connected.handshake.remoteMuxers).toEqual(stock);
    expect(connected.handshake.muxer).toBe(muxer);
    expect(connected.stock.streamMuxer?.protocol).toBe(muxer);
  });
});

describe.each(['RSA', 'secp256k1'] as KeyType[])('a peer with a key of %s', (type) => {
  test('connects to us in both roles, and to the stock implementation with our Noise', async () => {
    const key = await generateKeyPair(type as 'RSA');
    for (const role of ROLES) {
      const { handshake } = await connect({ role, stock: { key } });
      expect(handshake.peer).toEqual(Buffer.from(peerIdFromPrivateKey(key).toMultihash().bytes));
      const other = await connect({ role, ours: { key } });
      expect(other.stock.remotePeer.toString()).toBe(peerIdFromPrivateKey(key).toString());
    }
  });
});

test('the peer id that is expected must be that of the other side', async () => {
  const expectedPeer = Buffer.from(peerIdFromPrivateKey(stockKey).toMultihash().bytes);
  for (const role of ROLES) {
    await connect({ role, expectedPeer });
    const key = await generateKeyPair('Ed25519');
    await expect(connect({ role, expectedPeer, stock: { key } })).rejects.toMatchObject({
      code: 'NOISE_UNEXPECTED_PEER',
    });
  }
});

test('both sides fail when they have no muxer in common', async () => {
  for (const role of ROLES)
    await expect(
      connect({ role, ours: { muxers: [YAMUX] }, stock: { muxers: [MPLEX] } }),
    ).rejects.toMatchObject({ code: 'NOISE_NO_COMMON_MUXER' });
});
