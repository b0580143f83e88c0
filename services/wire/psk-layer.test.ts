// The swarm key layer in memory, with any division into reads, and against recorded handshakes of other programs.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import {
  array,
  assert,
  asyncProperty,
  boolean,
  constantFrom,
  integer,
  property,
  uint8Array,
} from 'fast-check';
import { createBytePipe } from '../../testing/byte-pipe.ts';
import { CollectingSink } from '../../testing/collecting-sink.ts';
import { createNobleCipher, createSodiumCipher, type Cipher } from './cipher.ts';
import { GREETING } from './first-bytes.ts';
import { MAX_HELD_BYTES, PskLayer, type PskOptions } from './psk-layer.ts';

const KEY = randomBytes(32);
const CIPHERS = [createSodiumCipher(), createNobleCipher()];

interface Transcripts {
  readonly key: string;
  readonly handshakes: ReadonlyArray<{ program: string; from_program: string; from_relay: string }>;
}
const transcripts = JSON.parse(
  readFileSync(join(import.meta.dirname, '../private-network/psk.transcripts.json'), 'utf8'),
) as Transcripts;

/** A pipe with a layer on one end, and the raw other end. */
function setUp(cipher: Cipher, options: Partial<PskOptions> = {}, readBytes: () => number = () => 1e9) {
  const pipe = createBytePipe({ isManual: true, readBytes });
  const outcomes: string[] = [];
  const layer = new PskLayer(pipe.b, {
    key: KEY,
    cipher,
    isInbound: true,
    ...options,
    onOutcome(outcome, of) {
      outcomes.push(outcome);
      options.onOutcome?.(outcome, of);
    },
  });
  const [raw, sink] = [new CollectingSink(), new CollectingSink()];
  pipe.a.sink = raw;
  layer.sink = sink;
  return { ...pipe, layer, sink, raw, outcomes };
}

/** The bytes that a client with the key sends first. */
function encrypt(plain: Buffer, key = KEY, nonce = randomBytes(24)): Buffer {
  const encrypted = Buffer.from(plain);
  createSodiumCipher().keystream(key, nonce).xor(encrypted, encrypted);
  return Buffer.concat([nonce, encrypted]);
}

function sendAll(end: ReturnType<typeof setUp>['a'], bytes: Buffer): void {
  end.write(bytes, 0, bytes.length);
}

describe.each(CIPHERS)('with $name', (cipher) => {
  test.each(CIPHERS)('bytes of both directions arrive at $name, however they are divided', async (other) => {
    await assert(
      asyncProperty(
        array(integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 10 }),
        array(integer({ min: 1, max: 40 }), { minLength: 1 }),
        boolean(),
        async (lengths, reads, isHeld) => {
          let next = 0;
          const { a, b, run } = createBytePipe({
            isManual: true,
            // The first reads are small, so that nonce and greeting are divided.
            readBytes: () => (next > 8 ? 50_000 : (reads[next++ % reads.length] ?? 1)),
            headroomBytes: () => next % 3,
          });
          const dialer = new PskLayer(a, { key: KEY, cipher, isInbound: false });
          const listener = new PskLayer(b, { key: KEY, cipher: other, isInbound: true, isHeld });
          const [atDialer, atListener] = [new CollectingSink(), new CollectingSink()];
          [dialer.sink, listener.sink] = [atDialer, atListener];
          const sent = [GREETING, ...lengths.map((length) => randomBytes(length))];
          dialer.write(GREETING, 0, GREETING.length);
          run();
          listener.release();
          for (const chunk of sent.slice(1)) dialer.write(chunk, 0, chunk.length);
          for (const chunk of sent) {
            const [before, after] = [Buffer.from(chunk), chunk];
            listener.write(chunk, 0, chunk.length);
            expect(after.equals(before)).toBe(true);
          }
          run();
          expect(atListener.bytes.equals(Buffer.concat(sent))).toBe(true);
          expect(atDialer.bytes.equals(Buffer.concat(sent))).toBe(true);
          expect(listener.unsentBytes).toBe(0);
        },
      ),
      { numRuns: 12 },
    );
  });

  test.each(transcripts.handshakes)(
    'the recorded handshake of $program is accepted in both roles, and refused under another key',
    ({ from_program, from_relay }) => {
      for (const [hex, isInbound] of [
        [from_program, true],
        [from_relay, false],
      ] as const) {
        for (const size of [1, 7, 24, 45, 1_000]) {
          const key = Buffer.from(transcripts.key, 'hex');
          const end = setUp(cipher, { key, isInbound }, () => size);
          sendAll(end.a, Buffer.from(hex, 'hex'));
          end.run();
          expect(end.outcomes).toEqual(['ok']);
          expect(end.sink.bytes.toString('latin1')).toBe('\x13/multistream/1.0.0\n\x07/noise\n');
        }
        const end = setUp(cipher, { isInbound });
        sendAll(end.a, Buffer.from(hex, 'hex'));
        end.run();
        expect(end.outcomes).toEqual(['wrong_key']);
        expect(end.sink).toMatchObject({ pieces: [], closes: 1, error: { code: 'SWARM_KEY_MISMATCH' } });
      }
    },
  );
});

/** What becomes of these bytes in reads of this size, after which the other side closes the connection. */
function outcomeOf(cipher: Cipher, bytes: Buffer, size: number): unknown {
  const end = setUp(cipher, {}, () => size);
  sendAll(end.a, bytes);
  end.a.end();
  end.run();
  const { closes, error } = end.sink;
  const { code } = (error ?? {}) as { code?: string };
  return { outcomes: end.outcomes, handedUp: end.sink.bytes.toString('hex'), closes, code };
}

test.each(CIPHERS)(
  'whatever arrives, in whatever pieces, has one outcome and one end, with $name',
  (cipher) => {
    const starts = constantFrom(
      '',
      'PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n',
      'GET / HTTP/1.1\r\n',
      '\x16\x03\x01\x02\x00\x01',
      GREETING.toString('latin1'),
      encrypt(GREETING).toString('latin1'),
      encrypt(GREETING.subarray(0, 11)).toString('latin1'),
    ).map((text) => Buffer.from(text, 'latin1'));
    assert(
      property(starts, uint8Array({ maxLength: 80 }), integer({ min: 1, max: 50 }), (start, rest, size) => {
        const bytes = Buffer.concat([start, rest]);
        const whole = outcomeOf(cipher, bytes, 1_000);
        expect(outcomeOf(cipher, bytes, size)).toEqual(whole);
        expect(whole).toMatchObject({ outcomes: [expect.any(String)], closes: 1 });
      }),
      { seed: 16, numRuns: 300 },
    );
  },
);

const cipher = createSodiumCipher();

describe('the outcome', () => {
  test.each([
    ['no_nonce', 'nothing', Buffer.alloc(0), 'NO_NONCE'],
    ['no_nonce', 'half a nonce', Buffer.from('9f'.repeat(12), 'hex'), 'NO_NONCE'],
    ['no_greeting', 'a nonce only', Buffer.from('9f'.repeat(24), 'hex'), 'NO_GREETING'],
    ['no_greeting', 'half a greeting', encrypt(GREETING.subarray(0, 9)), 'NO_GREETING'],
    ['wrong_key', 'another key', encrypt(GREETING, randomBytes(32)), 'SWARM_KEY_MISMATCH'],
    ['wrong_key', 'other bytes', encrypt(Buffer.from('\x13/multistream/2.0.0\n')), 'SWARM_KEY_MISMATCH'],
    ['http', 'a request', Buffer.from('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n'), 'FOREIGN_PROTOCOL'],
    ['http', 'a request shorter than a nonce', Buffer.from('GET / HTTP/1.0\r\n\r\n'), 'FOREIGN_PROTOCOL'],
    ['tls', 'a ClientHello', Buffer.from(`160301020001${'7f'.repeat(300)}`, 'hex'), 'FOREIGN_PROTOCOL'],
    ['proxy_protocol', 'a header', Buffer.from('PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n'), 'FOREIGN_PROTOCOL'],
    ['no_swarm_key', 'plain text', Buffer.from('\x13/multistream/1.0.0\n\x07/noise\n'), 'FOREIGN_PROTOCOL'],
  ])('is %s for %s, in one read or byte by byte', (outcome, _, bytes, code) => {
    for (const size of [1, 1_000]) {
      const end = setUp(cipher, {}, () => size);
      sendAll(end.a, bytes);
      end.a.end();
      end.run();
      // One of 256 wrong first bytes is the right one.
      expect(end.outcomes).toEqual([outcome]);
      expect(end.sink).toMatchObject({ pieces: [], closes: 1, error: { code } });
    }
  });

  test('is ok for a nonce that looks like another protocol', () => {
    for (const nonce of [
      'GET / HTTP/1.1\r\nHost: a.b',
      'PROXY TCP4 1.1.1.1 2.2.2',
      'SSH-2.0-OpenSSH_9.6\r\n...',
    ]) {
      const end = setUp(cipher);
      sendAll(end.a, encrypt(GREETING, KEY, Buffer.from(nonce.slice(0, 24))));
      end.run();
      expect(end.outcomes).toEqual(['ok']);
      expect(end.sink.bytes.equals(GREETING)).toBe(true);
    }
  });
});

describe('a connection that is held', () => {
  const early = Buffer.concat([GREETING, randomBytes(1_000)]);

  test('hands up nothing until it is released, and then all', () => {
    for (const size of [1, 30, 10_000]) {
      const end = setUp(cipher, { isHeld: true }, () => size);
      sendAll(end.a, encrypt(early));
      end.run();
      expect(end).toMatchObject({ outcomes: ['ok'], sink: { pieces: [], readEnds: 0 } });
      end.layer.release();
      expect(end.sink.bytes.equals(early)).toBe(true);
      end.layer.release();
      expect(end.sink.bytes.equals(early)).toBe(true);
    }
  });

  test('is released at once when its turn has come', () => {
    const end = setUp(cipher, { isHeld: true, onOutcome: (_, layer) => layer.release() });
    sendAll(end.a, encrypt(early));
    end.run();
    expect(end.sink.bytes.equals(early)).toBe(true);
  });

  test('is aborted when it sends more than a handshake begins with', () => {
    for (const size of [1_000, 10_000_000]) {
      const end = setUp(cipher, { isHeld: true }, () => size);
      sendAll(end.a, encrypt(Buffer.concat([GREETING, Buffer.alloc(MAX_HELD_BYTES, 0xff)])));
      end.run();
      expect(end.outcomes).toEqual(['ok', 'early_bytes']);
      expect(end.sink).toMatchObject({ pieces: [], closes: 1, error: { code: 'EARLY_BYTES' } });
      end.layer.release();
    }
  });

  test('closes while it is held, and a later release has no effect', () => {
    const end = setUp(cipher, { isHeld: true });
    sendAll(end.a, encrypt(early));
    end.run();
    end.a.abort(new Error('Gone.'));
    end.run();
    end.layer.release();
    expect(end.sink).toMatchObject({ pieces: [], closes: 1 });
  });
});

test('nobody gets bytes before the nonce has arrived, unless we write first', () => {
  const silent = setUp(cipher);
  sendAll(silent.a, randomBytes(23));
  silent.run();
  expect(silent.raw.bytes).toHaveLength(0);
  sendAll(silent.a, randomBytes(1));
  silent.run();
  expect(silent.raw.bytes).toHaveLength(24);
  const early = setUp(cipher);
  early.layer.write(GREETING, 0, GREETING.length);
  early.run();
  expect(early.raw.bytes).toHaveLength(24 + GREETING.length);
});
