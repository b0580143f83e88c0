import { describe, expect, test } from '@jest/globals';
import * as stock from '@libp2p/multistream-select';
import * as fc from 'fast-check';
import { createBytePipe } from '../../testing/byte-pipe.ts';
import { CollectingSink } from '../../testing/collecting-sink.ts';
import { createPipeConnection } from '../../testing/pipe-connection.ts';
import { createRandom } from '../../testing/random.ts';
import { until } from '../../testing/wait.ts';
import { encodeLines, MultistreamInitiator, MultistreamResponder, type Negotiator } from './multistream.ts';
import { answerProposals, proposeProtocols } from './negotiation.ts';

const PROTOCOLS = ['/a/1', '/bb/1.0.0'];
const HEADER = '/multistream/1.0.0';

/** Passes the bytes in pieces, and returns those that were not taken. */
function feed(side: Negotiator, bytes: Buffer, cuts: readonly number[] = []): Buffer {
  let at = 0;
  for (const cut of [...cuts, bytes.length]) {
    const end = Math.min(bytes.length, at + cut);
    const rest = side.take(bytes, at, end);
    if (rest < end) return bytes.subarray(rest);
    at = end;
  }
  return bytes.subarray(at);
}

const names = fc.stringMatching(/^\/[a-z]{1,130}$/);
const cuts = fc.array(fc.integer({ min: 1, max: 9 }));

describe('the responder', () => {
  test('accepts a protocol after others, in any division of the bytes, and leaves the rest', () => {
    fc.assert(
      fc.property(
        fc.array(names, { maxLength: 5 }),
        fc.uint8Array({ maxLength: 20 }),
        cuts,
        (refused, rest, divided) => {
          const sent: Buffer[] = [];
          const side = new MultistreamResponder(PROTOCOLS, (bytes) => sent.push(bytes));
          const bytes = Buffer.concat([encodeLines(HEADER, ...refused, '/bb/1.0.0'), rest]);
          expect(feed(side, bytes, divided)).toEqual(Buffer.from(rest));
          expect(side.protocol).toBe('/bb/1.0.0');
          const answers = [HEADER, ...refused.map(() => 'na'), '/bb/1.0.0'];
          expect(Buffer.concat(sent)).toEqual(encodeLines(...answers));
        },
      ),
      { seed: 16, numRuns: 200 },
    );
  });

  test('answers the header and a proposal that come together with one write', () => {
    const sent: Buffer[] = [];
    feed(new MultistreamResponder(PROTOCOLS, (bytes) => sent.push(bytes)), encodeLines(HEADER, '/a/1'));
    expect(sent).toEqual([encodeLines(HEADER, '/a/1')]);
  });

  test('lists its protocols', () => {
    const sent: Buffer[] = [];
    const side = new MultistreamResponder(PROTOCOLS, (bytes) => sent.push(bytes));
    feed(side, encodeLines(HEADER, 'ls'));
    const list = Buffer.concat([encodeLines(...PROTOCOLS), Buffer.from('\n')]);
    expect(Buffer.concat(sent)).toEqual(
      Buffer.concat([encodeLines(HEADER), Buffer.from([list.length]), list]),
    );
    feed(side, encodeLines('/a/1'));
    expect(side.protocol).toBe('/a/1');
  });

  test.each([
    { what: 'a proposal without header', bytes: encodeLines('/a/1'), code: 'MULTISTREAM_INVALID' },
    { what: 'two headers', bytes: encodeLines(HEADER, HEADER), code: 'MULTISTREAM_INVALID' },
    { what: 'no line feed', bytes: Buffer.from('\x03abc'), code: 'MULTISTREAM_INVALID' },
    { what: 'an empty line', bytes: Buffer.from([0]), code: 'MULTISTREAM_INVALID' },
    { what: 'a length of two zero bytes', bytes: Buffer.from([0x80, 0]), code: 'MULTISTREAM_INVALID' },
    { what: 'a line of 1,025 bytes', bytes: encodeLines('x'.repeat(1024)), code: 'MULTISTREAM_LIMIT' },
    { what: 'a length that does not end', bytes: Buffer.from([0xff, 0xff]), code: 'MULTISTREAM_LIMIT' },
    {
      what: 'too many proposals',
      bytes: encodeLines(HEADER, ...Array.from({ length: 64 }, () => '/c/1')),
      code: 'MULTISTREAM_LIMIT',
    },
    {
      what: 'too many bytes',
      bytes: encodeLines(HEADER, ...Array.from({ length: 16 }, () => 'x'.repeat(1023))),
      code: 'MULTISTREAM_LIMIT',
    },
  ])('refuses $what', ({ bytes, code }) => {
    for (const divided of [[], Array.from({ length: bytes.length }, () => 1)]) {
      const side = new MultistreamResponder(PROTOCOLS, () => {});
      expect(() => feed(side, bytes, divided)).toThrow(expect.objectContaining({ code }));
      expect(side.protocol).toBeUndefined();
    }
  });

  test('refuses 4 MiB of 0xff after the header with the second byte of them', () => {
    const pipe = createBytePipe({ isManual: true, readBytes: () => 65_536 });
    const failures: Error[] = [];
    pipe.a.sink = new CollectingSink();
    answerProposals(pipe.b, PROTOCOLS, {
      onProtocol: () => {},
      onFailed: (error) => failures.push(error),
    });
    const bytes = Buffer.concat([encodeLines(HEADER), Buffer.alloc(4 * 1024 * 1024, 0xff)]);
    pipe.a.write(bytes, 0, bytes.length);
    pipe.run();
    expect(failures).toEqual([expect.objectContaining({ code: 'MULTISTREAM_LIMIT' })]);
    const side = new MultistreamResponder(PROTOCOLS, () => {});
    feed(side, encodeLines(HEADER));
    expect(() => side.take(Buffer.from([0xff, 0xff]), 0, 2)).toThrow('a line is too long');
  });

  test('takes any bytes, or refuses them', () => {
    const pieces = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom(HEADER, 'na', 'ls', '/a/1', '').map((text) => new Uint8Array(encodeLines(text))),
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 8 }), cuts, (parts, divided) => {
        const bytes = Buffer.concat([encodeLines(HEADER), ...parts]);
        for (const createSide of [
          () => new MultistreamResponder(PROTOCOLS, () => {}),
          () => new MultistreamInitiator(PROTOCOLS, () => {}),
        ])
          expect(outcomeOf(createSide(), bytes, divided)).toEqual(outcomeOf(createSide(), bytes, []));
      }),
      { seed: 16, numRuns: 500 },
    );
  });
});

function outcomeOf(side: Negotiator, bytes: Buffer, divided: readonly number[]): unknown {
  try {
    return { rest: feed(side, bytes, divided), protocol: side.protocol };
  } catch (error) {
    return { code: (error as Error & { code?: string }).code };
  }
}

describe('the initiator', () => {
  test('proposes one protocol after the other, and leaves what follows the answer', () => {
    fc.assert(
      fc.property(cuts, (divided) => {
        const sent: Buffer[] = [];
        const side = new MultistreamInitiator(PROTOCOLS, (bytes) => sent.push(bytes));
        expect(Buffer.concat(sent.splice(0))).toEqual(encodeLines(HEADER, '/a/1'));
        const bytes = Buffer.concat([encodeLines(HEADER, 'na', '/bb/1.0.0'), Buffer.from('rest')]);
        expect(feed(side, bytes, divided).toString()).toBe('rest');
        expect([side.protocol, sent]).toEqual(['/bb/1.0.0', [encodeLines('/bb/1.0.0')]]);
      }),
      { seed: 16, numRuns: 50 },
    );
  });

  test.each([
    { what: 'the refusal of all', bytes: encodeLines(HEADER, 'na', 'na'), code: 'MULTISTREAM_UNSUPPORTED' },
    { what: 'no header', bytes: encodeLines('/a/1'), code: 'MULTISTREAM_INVALID' },
    { what: 'another protocol', bytes: encodeLines(HEADER, '/bb/1.0.0'), code: 'MULTISTREAM_INVALID' },
    { what: 'a list', bytes: encodeLines(HEADER, 'ls'), code: 'MULTISTREAM_INVALID' },
  ])('fails for $what', ({ bytes, code }) => {
    const side = new MultistreamInitiator(PROTOCOLS, () => {});
    expect(() => feed(side, bytes)).toThrow(expect.objectContaining({ code }));
  });

  test('needs a proposal', () => {
    expect(() => new MultistreamInitiator([], () => {})).toThrow('At least one');
  });
});

describe('a connection with the stock implementation at the other end', () => {
  const sizes = [{ readBytes: 1 }, { readBytes: 21 }, { readBytes: 1000 }, { readBytes: 'random' }] as const;
  const proposals = [['/a/1'], ['/none/1', '/a/1'], ['/none/1', '/none/2', '/bb/1.0.0']];
  const cases = sizes.flatMap((size) => proposals.map((proposed) => Object.assign({ proposed }, size)));

  test.each(cases)('accepts $proposed in reads of $readBytes bytes', async ({ readBytes, proposed }) => {
    const pipe = createBytePipe({ readBytes: readsOf(readBytes) });
    const received = new CollectingSink();
    let chosen: string | undefined;
    answerProposals(pipe.b, PROTOCOLS, {
      onProtocol(protocol) {
        chosen = protocol;
        pipe.b.sink = received;
      },
      onFailed: fail,
    });
    const connection = createPipeConnection(pipe.a, 'outbound');
    expect(await stock.select(connection, proposed)).toBe(proposed.at(-1));
    connection.send(Buffer.from('payload'));
    await until(() => received.bytes.toString() === 'payload', 'the payload has arrived');
    expect(chosen).toBe(proposed.at(-1));
  });

  test.each(cases)('proposes $proposed in reads of $readBytes bytes', async ({ readBytes, proposed }) => {
    const pipe = createBytePipe({ readBytes: readsOf(readBytes) });
    const connection = createPipeConnection(pipe.b, 'inbound');
    const handled = stock.handle(connection, PROTOCOLS);
    const received = new CollectingSink();
    let chosen: string | undefined;
    proposeProtocols(pipe.a, proposed, {
      onProtocol(protocol) {
        chosen = protocol;
        pipe.a.sink = received;
      },
      onFailed: fail,
    });
    expect(await handled).toBe(proposed.at(-1));
    connection.send(Buffer.from('payload'));
    await until(() => received.bytes.toString() === 'payload', 'the payload has arrived');
    expect(chosen).toBe(proposed.at(-1));
  });

  test('fails when the other side closes it, and when it is aborted', () => {
    for (const end of ['end', 'abort'] as const) {
      const pipe = createBytePipe({ isManual: true });
      const failures: Error[] = [];
      pipe.a.sink = new CollectingSink();
      proposeProtocols(pipe.b, PROTOCOLS, {
        onProtocol: fail,
        onFailed: (error) => failures.push(error),
      });
      pipe.a[end](new Error('The test ends it.'));
      pipe.run();
      expect(failures).toHaveLength(1);
    }
  });
});

function fail(outcome: unknown): never {
  throw new Error(`The negotiation must not end with ${String(outcome)}.`);
}

function readsOf(readBytes: number | 'random'): () => number {
  const random = createRandom(5);
  return readBytes === 'random' ? () => 1 + Math.floor(random() * 30) : () => readBytes;
}
