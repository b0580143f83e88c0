import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { withLength } from '../messages.ts';
import { MultistreamInitiator, MultistreamResponder } from './multistream.ts';

const PROTOCOLS = ['/a/1', '/bb/1.0.0'];

function select(...texts: string[]): Buffer {
  return Buffer.concat(texts.map((text) => withLength(Buffer.from(`${text}\n`))));
}

/** Passes the bytes in pieces, and returns those that were not taken. */
function feed(side: Pick<MultistreamResponder, 'take'>, bytes: Buffer, cuts: readonly number[] = []): Buffer {
  let at = 0;
  for (const cut of [...cuts, bytes.length]) {
    const end = Math.min(bytes.length, at + cut);
    const rest = side.take(bytes, at, end);
    if (rest < end) return bytes.subarray(rest);
    at = end;
  }
  return bytes.subarray(at);
}

describe('the responder', () => {
  test('accepts a protocol after others, in any division of the bytes, and leaves the rest', () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^\/[a-z]{1,20}$/), { maxLength: 5 }),
        fc.uint8Array({ maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 9 })),
        (refused, rest, cuts) => {
          const sent: Uint8Array[] = [];
          const side = new MultistreamResponder(PROTOCOLS, (bytes) => sent.push(bytes));
          const bytes = Buffer.concat([select('/multistream/1.0.0', ...refused, '/bb/1.0.0'), rest]);
          expect(feed(side, bytes, cuts)).toEqual(Buffer.from(rest));
          expect(side.protocol).toBe('/bb/1.0.0');
          const answers = ['/multistream/1.0.0', ...refused.map(() => 'na'), '/bb/1.0.0'];
          expect(Buffer.concat(sent)).toEqual(select(...answers));
        },
      ),
    );
  });

  test('lists its protocols', () => {
    const sent: Uint8Array[] = [];
    feed(new MultistreamResponder(PROTOCOLS, (bytes) => sent.push(bytes)), select('ls'));
    expect(sent).toEqual([withLength(Buffer.concat([select(...PROTOCOLS), Buffer.from('\n')]))]);
  });

  test.each([
    ['a message without line feed', withLength(Buffer.from('/a/1'))],
    ['a message that is too long', withLength(Buffer.alloc(1_025, 0x0a))],
    ['an empty message', Buffer.from([0])],
    ['a length that does not end', Buffer.alloc(8, 0xff)],
    ['more proposals than a peer has protocols', select(...Array.from({ length: 65 }, () => '/c/1'))],
  ])('fails for %s', (_, bytes) => {
    const side = new MultistreamResponder(PROTOCOLS, () => {});
    expect(() => feed(side, Buffer.from(bytes))).toThrow(Error);
    expect(side.protocol).toBeUndefined();
  });
});

describe('the initiator', () => {
  test('proposes one protocol and leaves what follows the answer', () => {
    const sent: Uint8Array[] = [];
    const side = new MultistreamInitiator('/a/1', (bytes) => sent.push(bytes));
    expect(Buffer.concat(sent)).toEqual(select('/multistream/1.0.0', '/a/1'));
    const answer = Buffer.concat([select('/multistream/1.0.0', '/a/1'), Buffer.from('rest')]);
    expect(feed(side, answer, [3, 25]).toString()).toBe('rest');
    expect(side.protocol).toBe('/a/1');
  });

  test.each(['na', '/b/1'])('fails for the answer %s', (text) => {
    const side = new MultistreamInitiator('/a/1', () => {});
    expect(() => feed(side, select('/multistream/1.0.0', text))).toThrow('negotiation');
  });
});
