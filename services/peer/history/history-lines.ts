// Reads the lines of a history file with bounded memory. A run of NUL bytes, which a crash leaves where the file system had
// not written a block yet, separates what is before it from what is after it.
import { isUtf8 } from 'node:buffer';
import { MAX_COMMAND_BYTES } from './entry-rules.ts';
import { createRrReader, type RrRecord } from './rr-records.ts';

export type Shell = 'bash' | 'zsh' | 'fish';

/** Maximum size of a line in bytes; the encodings of zsh and fish at most double a command. What exceeds it is dropped. */
export const MAX_LINE_BYTES = 2 * MAX_COMMAND_BYTES + 4096;

/** A line, or a part of a line with NUL bytes. */
export interface Line {
  /** The number of the line in the file, from 1. */
  readonly number: number;
  /** The text without line feed, carriage return and NUL bytes. Bytes that are not UTF-8 become U+FFFD. */
  readonly text: string;
  /** Whether the line is larger than the maximum, so that `text` is only its start. */
  readonly isCut: boolean;
  /** Whether NUL bytes are between this part and the one before it. */
  readonly isAfterGap: boolean;
  readonly isBeforeGap: boolean;
  /** The record that `rr` reads from the line; `undefined` when this is not all of it. */
  readonly rrRecord: RrRecord | undefined;
}

const LINE_FEED = 0x0a;
const BYTE_ORDER_MARK = '\ufeff';

/** Byte before an encoded byte in a zsh file. */
const META = 0x83;

export function* readLines(shell: Shell, chunks: Iterable<Buffer>): Generator<Line> {
  const readAsRr = createRrReader(shell);
  let number = 0;
  let isAfterGap = false;
  for (const { bytes, isCut } of readPhysicalLines(chunks)) {
    number += 1;
    const record = readAsRr(bytes.toString('utf8'));
    const hasGap = bytes.includes(0);
    const parts = hasGap ? splitAtGaps(bytes) : [bytes];
    for (const [index, part] of parts.entries()) {
      isAfterGap ||= index > 0;
      if (part.length === 0 && hasGap) continue;
      yield {
        number,
        text: decode(shell, part, number === 1 && index === 0),
        isCut,
        isAfterGap,
        isBeforeGap: index < parts.length - 1,
        rrRecord: hasGap ? undefined : record,
      };
      isAfterGap = false;
    }
    isAfterGap ||= hasGap && parts.at(-1)?.length === 0;
  }
}

/** The parts of a line between its runs of NUL bytes; the first and the last one may be empty. */
function splitAtGaps(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  let start = 0;
  for (let gap = bytes.indexOf(0); gap !== -1; gap = bytes.indexOf(0, start)) {
    parts.push(bytes.subarray(start, gap));
    start = gap;
    while (bytes[start] === 0) start += 1;
  }
  parts.push(bytes.subarray(start));
  return parts;
}

interface PhysicalLine {
  readonly bytes: Buffer;
  readonly isCut: boolean;
}

function* readPhysicalLines(chunks: Iterable<Buffer>): Generator<PhysicalLine> {
  let pieces: Buffer[] = [];
  let length = 0;
  let isCut = false;
  const add = (piece: Buffer): void => {
    const kept = piece.subarray(0, MAX_LINE_BYTES - length);
    isCut ||= kept.length < piece.length;
    length += kept.length;
    if (kept.length > 0) pieces.push(kept);
  };
  const take = (): PhysicalLine => {
    const line = { bytes: pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces), isCut };
    [pieces, length, isCut] = [[], 0, false];
    return line;
  };
  for (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
      add(chunk.subarray(start, end));
      yield take();
      start = end + 1;
    }
    add(chunk.subarray(start));
  }
  if (length > 0) yield take();
}

function decode(shell: Shell, bytes: Buffer, isFirst: boolean): string {
  const text = (shell === 'zsh' ? unmetafy(bytes) : bytes).toString('utf8');
  const start = isFirst && text.startsWith(BYTE_ORDER_MARK) ? 1 : 0;
  return text.slice(start, text.endsWith('\r') ? -1 : undefined);
}

/**
 * Decodes the "metafied" encoding of zsh, which writes some bytes of a character as 0x83 and the byte XOR 0x20. A line that
 * is UTF-8 only without decoding was written by another program.
 */
function unmetafy(bytes: Buffer): Buffer {
  if (!bytes.includes(META)) return bytes;
  const plain = Buffer.allocUnsafe(bytes.length);
  let length = 0;
  for (let index = 0; index < bytes.length; index += 1) {
    const isEncoded = bytes[index] === META && index + 1 < bytes.length;
    if (isEncoded) index += 1;
    plain[length] = (bytes[index] ?? 0) ^ (isEncoded ? 0x20 : 0);
    length += 1;
  }
  const decoded = plain.subarray(0, length);
  return isUtf8(bytes) && !isUtf8(decoded) ? bytes : decoded;
}
