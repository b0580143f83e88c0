// The check of bulk data notices every wrong byte.
import { describe, expect, test } from '@jest/globals';
import { isPattern, patternAt } from './pattern.ts';

const FRAME = 65_507;

describe('the pattern of bulk data', () => {
  test.each([0, 1, 1_000_002, 1_000_003, 123_456_789])('is the same again at position %d', (position) => {
    expect(isPattern(Buffer.from(patternAt(position, FRAME)), position)).toBe(true);
  });

  test.each([
    {
      what: 'one bit is wrong',
      at: 0,
      change: (frame: Buffer) => void (frame[40_000] = (frame[40_000] ?? 0) ^ 1),
    },
    {
      what: 'the last byte is wrong',
      at: 0,
      change: (frame: Buffer) => void (frame[FRAME - 1] = ~(frame.at(-1) ?? 0)),
    },
    { what: 'a frame is missing before it', at: -FRAME, change: () => {} },
    { what: 'the frame before it is repeated', at: FRAME, change: () => {} },
    { what: 'a byte is missing before it', at: -1, change: () => {} },
  ])('differs when $what', ({ at, change }) => {
    const position = 10 * FRAME;
    const frame = Buffer.from(patternAt(position, FRAME));
    change(frame);
    expect(isPattern(frame, position + at)).toBe(false);
  });
});
