// The bytes of bulk data: what is expected at each position is known without keeping what was sent.
import { randomFillSync } from 'node:crypto';

/** A prime number, so that a lost, repeated or moved frame of any size changes what is expected at its position. */
const PERIOD = 1_000_003;

/** Maximum bytes of one piece. */
const MAX_PIECE_BYTES = 512 * 1024;

/** Random bytes that repeat after `PERIOD`, followed by the start of the next period. */
const PATTERN = ((): Buffer => {
  const period = randomFillSync(Buffer.allocUnsafeSlow(PERIOD));
  return Buffer.concat([period, period.subarray(0, MAX_PIECE_BYTES)]);
})();

/** The bytes from this position on; at most `MAX_PIECE_BYTES`. They must not be changed. */
export function patternAt(position: number, bytes: number): Buffer {
  const start = position % PERIOD;
  return PATTERN.subarray(start, start + bytes);
}

/** Whether these are the bytes from this position on. */
export function isPattern(data: Buffer, position: number): boolean {
  const start = position % PERIOD;
  return (
    data.length <= MAX_PIECE_BYTES && PATTERN.compare(data, 0, data.length, start, start + data.length) === 0
  );
}
