import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { MessageTooLongError } from '../connection.ts';
import { withLength } from '../messages.ts';
import { MessageReader } from './message-reader.ts';

/** What becomes of bytes that arrive in pieces of these sizes. */
function outcome(bytes: Buffer, sizes: readonly number[]): unknown {
  const reader = new MessageReader(300);
  let at = 0;
  try {
    for (let index = 0; at < bytes.length && reader.message === undefined; index += 1)
      at = reader.take(bytes, at, Math.min(bytes.length, at + (sizes[index] ?? bytes.length)));
  } catch (error) {
    return (error as Error).name;
  }
  return [Buffer.from(reader.message ?? []), reader.message === undefined ? bytes.length : at];
}

describe('a message after its length', () => {
  test('is read from any division of the bytes, and nothing after it', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.uint8Array({ maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 40 })),
        (message, rest, cuts) => {
          const bytes = Buffer.concat([withLength(message), rest]);
          const reader = new MessageReader(4096);
          let at = 0;
          for (const cut of [...cuts, bytes.length]) {
            const end = Math.min(bytes.length, at + cut);
            at = reader.take(bytes, at, end);
            if (reader.message !== undefined) break;
          }
          expect(Buffer.from(reader.message ?? [])).toEqual(Buffer.from(message));
          expect(at).toBe(bytes.length - rest.length);
        },
      ),
    );
  });

  test('any bytes, in any division, have the same outcome as the whole', () => {
    const lengths = fc.constantFrom([], [0x80], [0xac, 0x02], [0xad, 0x02], [0xff, 0xff], [5]);
    fc.assert(
      fc.property(
        lengths,
        fc.uint8Array({ maxLength: 320 }),
        fc.array(fc.integer({ min: 1, max: 40 })),
        (length, rest, sizes) => {
          const bytes = Buffer.from([...length, ...rest]);
          expect(outcome(bytes, sizes)).toEqual(outcome(bytes, []));
        },
      ),
      { seed: 16, numRuns: 300 },
    );
  });

  test.each([
    ['longer than the maximum', [0x81, 0x20]],
    ['whose length does not end', [0xff, 0xff, 0xff]],
    ['whose length has more bytes than that of the maximum', [0x80, 0x80, 0x00]],
  ])('is refused when it is %s', (_, bytes) => {
    expect(() => new MessageReader(4096).take(Buffer.from(bytes), 0, bytes.length)).toThrow(
      MessageTooLongError,
    );
  });

  test('of the maximum is read', () => {
    const bytes = Buffer.from(withLength(new Uint8Array(4096).fill(7)));
    const reader = new MessageReader(4096);
    expect(reader.take(bytes, 0, bytes.length)).toBe(bytes.length);
    expect(reader.message).toHaveLength(4096);
  });
});
