// Channels of ours at both ends, and hostile bytes.
import { randomBytes } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { createBytePipe, type BytePipe, type PipeOptions } from '../../../testing/byte-pipe.ts';
import { CollectingSink } from '../../../testing/collecting-sink.ts';
import type { Aead } from './aead.ts';
import { MAX_CONTENT_BYTES, NoiseChannel } from './channel.ts';
import { CipherState } from './cipher-state.ts';
import { loadNoiseCrypto, nodeNoiseCrypto, type NoiseCrypto } from './crypto.ts';
import { createEd25519Signer, createNoiseIdentity, type NoiseIdentity } from './identity.ts';
import { startNoise } from './secure.ts';

const crypto = loadNoiseCrypto();

async function createIdentity(using: NoiseCrypto = crypto): Promise<NoiseIdentity> {
  return createNoiseIdentity({ signer: createEd25519Signer(randomBytes(32)), crypto: using, muxers: [] });
}

interface Secured {
  readonly pipe: BytePipe;
  readonly left: NoiseChannel;
  readonly right: NoiseChannel;
  readonly atLeft: CollectingSink;
  readonly atRight: CollectingSink;
}

async function secure(options: PipeOptions = {}, using: NoiseCrypto = crypto): Promise<Secured> {
  const pipe = createBytePipe({ isManual: true, ...options });
  const [atLeft, atRight] = [new CollectingSink(), new CollectingSink()];
  const channels: NoiseChannel[] = [];
  for (const [index, role] of (['responder', 'initiator'] as const).entries())
    startNoise(index === 0 ? pipe.b : pipe.a, {
      role,
      identity: await createIdentity(using),
      owner: {
        onSecured(channel) {
          channels[index] = channel;
          return index === 0 ? atRight : atLeft;
        },
        onFailed(error) {
          throw error;
        },
      },
    });
  pipe.run();
  const [right, left] = channels;
  if (left === undefined || right === undefined) throw new Error('The handshake is not done.');
  return { pipe, left, right, atLeft, atRight };
}

/** A connected channel, and what it does with bytes from the wire that the test has changed. */
async function receiveChanged(change: (sent: Buffer) => Buffer): Promise<CollectingSink> {
  const { pipe, left, right, atRight } = await secure();
  pipe.a.sent = [];
  for (const text of ['first', 'second', 'third']) left.write(Buffer.from(text), 0, text.length);
  pipe.a.flush();
  const changed = change(Buffer.concat(pipe.a.sent));
  const buffer = Buffer.concat([Buffer.alloc(64), changed]);
  right.onBytes(buffer, 64, buffer.length);
  right.onReadEnd();
  return atRight;
}

describe.each([crypto, nodeNoiseCrypto])('two channels with $name', (using) => {
  test('pass on all bytes, however they are written and read, with blocking and pauses', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 4 }),
        fc.oneof(
          fc.tuple(
            fc.constantFrom(0, 1, 2, 3, 1000),
            fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 3 }),
          ),
          fc.tuple(
            fc.constantFrom(0, 2, 70_000),
            fc.array(fc.integer({ min: 1000, max: 200_000 }), { minLength: 1 }),
          ),
        ),
        async (lengths, [headroom, sizes]) => {
          let reads = 0;
          const { pipe, left, atLeft, atRight } = await secure(
            {
              readBytes: () => sizes[reads++ % sizes.length] ?? 1,
              headroomBytes: () => headroom,
              blockedAboveBytes: 1000,
            },
            using,
          );
          const sent = Buffer.concat(lengths.map((length) => randomBytes(length)));
          let at = 0;
          for (const length of lengths) {
            left.write(sent, at, at + length);
            at += length;
          }
          pipe.run();
          expect(atRight.bytes.equals(sent)).toBe(true);
          expect([left.isBlocked, left.unsentBytes]).toEqual([false, 0]);
          expect(atLeft.writables).toBeLessThanOrEqual(lengths.length);
          left.end();
          pipe.run();
          expect([atLeft.closes, atRight.closes, atLeft.error, atRight.error]).toEqual([
            1,
            1,
            undefined,
            undefined,
          ]);
        },
      ),
      { seed: 16, numRuns: 40 },
    );
  });
});

test('a write becomes messages of at most 65,519 bytes, sent at once', async () => {
  const { pipe, left } = await secure();
  const flushes = pipe.a.flushes;
  pipe.a.sent = [];
  left.write(randomBytes(MAX_CONTENT_BYTES + 1), 0, MAX_CONTENT_BYTES + 1);
  left.write(Buffer.alloc(10), 5, 5);
  pipe.run();
  const bytes = Buffer.concat(pipe.a.sent);
  expect([bytes.readUInt16BE(0), bytes.readUInt16BE(65_537), bytes.length]).toEqual([65_535, 17, 65_556]);
  expect(pipe.a.flushes - flushes).toBe(1);
});

test('a message without content is valid and hands nothing up', async () => {
  const { pipe, right, atRight } = await secure();
  const key = randomBytes(32);
  const [send, receive] = [new CipherState(crypto.aead, key), new CipherState(crypto.aead, key)];
  const { parts } = await createIdentity();
  const channel = new NoiseChannel(pipe.b, { send: receive, receive }, parts, atRight);
  const wire = Buffer.alloc(18 + 19);
  wire.writeUInt16BE(16, 0);
  send.seal(wire.subarray(2, 18), Buffer.alloc(0));
  wire.writeUInt16BE(17, 18);
  send.seal(wire.subarray(20), Buffer.from('x'));
  channel.onBytes(wire, 0, wire.length);
  expect(atRight.pieces.map(String)).toEqual(['x']);
  expect(right.isBlocked).toBe(false);
});

describe('a channel ends its connection', () => {
  test.each([
    { what: 'a changed length', change: (sent: Buffer) => flip(sent, 1), received: '' },
    { what: 'a changed message', change: (sent: Buffer) => flip(sent, 5), received: '' },
    { what: 'a changed tag', change: (sent: Buffer) => flip(sent, 22), received: '' },
    {
      what: 'a message that comes twice',
      change: (sent: Buffer) => Buffer.concat([sent.subarray(0, 23), sent]),
      received: 'first',
    },
    { what: 'a message that is missing', change: (sent: Buffer) => sent.subarray(23), received: '' },
    {
      what: 'a length below that of a tag',
      change: (sent: Buffer) => Buffer.concat([sent.subarray(0, 23), Buffer.from([0, 15])]),
      received: 'first',
    },
    { what: 'the length zero', change: () => Buffer.alloc(2), received: '' },
  ])('after $what', async ({ change, received }) => {
    const sink = await receiveChanged(change);
    expect([sink.bytes.toString(), sink.closes, sink.error]).toEqual([
      received,
      1,
      expect.objectContaining({ code: 'NOISE_MESSAGE' }),
    ]);
  });

  test('that ends inside a message, with an error', async () => {
    const { pipe, left, atRight } = await secure();
    const header = Buffer.from([0x10, 0x00, 1, 2, 3]);
    pipe.a.write(header, 0, header.length);
    left.end();
    pipe.run();
    expect(atRight.error).toMatchObject({ code: 'NOISE_TRUNCATED' });
  });

  test('when the maximum of messages is reached, in both directions', async () => {
    const { pipe, atRight } = await secure();
    const key = randomBytes(32);
    const { parts } = await createIdentity();
    const last = (): CipherState => new CipherState(crypto.aead, key, Number.MAX_SAFE_INTEGER - 1);
    const channel = new NoiseChannel(pipe.b, { send: last(), receive: last() }, parts, atRight);
    channel.write(Buffer.from('x'), 0, 1);
    expect(atRight.closes).toBe(0);
    channel.write(Buffer.from('y'), 0, 1);
    expect(atRight.error).toMatchObject({ code: 'NOISE_MESSAGES_EXHAUSTED' });
    expect(() => last().isExhausted).not.toThrow();
  });

  test('when its cipher throws, and whoever writes notices nothing', async () => {
    for (const direction of ['seal', 'open'] as const) {
      const { pipe, left, right, atLeft, atRight } = await secure();
      const { parts } = await createIdentity();
      const throwing: Aead = {
        ...crypto.aead,
        [direction]() {
          throw new RangeError('The cipher failed.');
        },
      };
      const state = (): CipherState => new CipherState(throwing, randomBytes(32));
      const channel = new NoiseChannel(pipe.b, { send: state(), receive: state() }, parts, atRight);
      if (direction === 'seal') channel.write(Buffer.from('x'), 0, 1);
      else {
        left.write(Buffer.from('x'), 0, 1);
        // A socket catches what its layers throw, and aborts.
        expect(() => pipe.run()).toThrow('The cipher failed.');
        continue;
      }
      pipe.run();
      expect([atRight.error?.message, atRight.closes, atLeft.closes]).toEqual(['The cipher failed.', 1, 1]);
      expect(right.isBlocked).toBe(false);
    }
  });

  test('once, and drops what follows, when the layer above aborts while it receives', async () => {
    const { pipe, left, right, atRight } = await secure();
    const onBytes = atRight.onBytes.bind(atRight);
    right.sink = Object.assign(atRight, {
      onBytes(buffer: Buffer, start: number, end: number) {
        onBytes(buffer, start, end);
        right.abort(new Error('Enough.'));
      },
    });
    left.write(Buffer.from('one'), 0, 3);
    left.write(Buffer.from('two'), 0, 3);
    pipe.run();
    expect([atRight.bytes.toString(), atRight.closes, atRight.error?.message]).toEqual(['one', 1, 'Enough.']);
  });
});

test.each([crypto, nodeNoiseCrypto])(
  'any change of what arrives, in any division, ends a connection, with $name',
  async (using) => {
    const { parts } = await createIdentity(using);
    const key = randomBytes(32);
    const send = new CipherState(using.aead, key);
    const texts = ['first', '', 'second', 'x'.repeat(700)];
    const sent = texts.map((text) => {
      const wire = Buffer.alloc(2 + text.length + 16);
      wire.writeUInt16BE(text.length + 16);
      send.seal(wire.subarray(2), Buffer.from(text));
      return wire;
    });
    const state = (): CipherState => new CipherState(using.aead, key);
    const outcome = (bytes: Buffer, size: number, headroom: number): unknown => {
      const pipe = createBytePipe({ isManual: true, readBytes: () => size, headroomBytes: () => headroom });
      pipe.a.sink = new CollectingSink();
      const sink = new CollectingSink();
      const channel = new NoiseChannel(pipe.b, { send: state(), receive: state() }, parts, sink);
      pipe.a.write(bytes, 0, bytes.length);
      pipe.a.end();
      pipe.run();
      const { code } = (sink.error ?? {}) as { code?: string };
      return { received: sink.bytes.toString(), code, closes: sink.closes, unsent: channel.unsentBytes };
    };
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(800), fc.integer({ min: 1, max: 255 })), { maxLength: 2 }),
        fc.uint8Array({ maxLength: 40 }),
        fc.integer({ min: 1, max: 300 }),
        fc.constantFrom(0, 1, 1000),
        (changes, rest, size, headroom) => {
          const bytes = Buffer.concat([...sent, rest]);
          for (const [at, flips] of changes)
            if (at < bytes.length) bytes.writeUInt8(bytes.readUInt8(at) ^ flips, at);
          const whole = outcome(bytes, 10_000, 64) as { received: string; code?: string; closes: number };
          expect(outcome(bytes, size, headroom)).toEqual(whole);
          expect(texts.join('').startsWith(whole.received)).toBe(true);
          const isWhole = bytes.equals(Buffer.concat(sent));
          expect([whole.closes, whole.code === undefined]).toEqual([1, isWhole]);
        },
      ),
      { seed: 16, numRuns: 150 },
    );
  },
);

function flip(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
  return changed;
}
