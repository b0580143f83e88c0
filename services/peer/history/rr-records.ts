// Reads the lines of a history file as `rr` does, because the id that `rr` gives to an imported record depends on it:
// each line that is not empty is a record, continued lines are not joined, and encodings of the shell are not decoded.
import type { Shell } from './history-lines.ts';

/** A line as `rr` reads it. */
export interface RrRecord {
  /** The number of records before it, also of those that `rr` does not import. */
  readonly index: number;
  /** The time in Unix seconds as a decimal number; 0 when the file has no time for the record. */
  readonly time: string;
  readonly command: string;
}

/** Reads the next physical line; `undefined` when it is not a record. */
export type RrReader = (line: string) => RrRecord | undefined;

/** Range of the times that `rr` reads. */
const MIN_TIME = -(2n ** 63n);
const MAX_TIME = 2n ** 63n - 1n;

const NO_TIME = '0';

export function createRrReader(shell: Shell): RrReader {
  let index = 0;
  let pendingTime: string | undefined;
  const next = (time: string | undefined, command: string): RrRecord => {
    const record = { index, time: time ?? NO_TIME, command: trim(command) };
    index += 1;
    return record;
  };
  if (shell === 'bash')
    return (line) => {
      const text = trimEnd(line);
      if (text === '') return undefined;
      const time = text.startsWith('#') ? readTime(text.slice(1)) : undefined;
      if (time === undefined) {
        const record = next(pendingTime, text);
        pendingTime = undefined;
        return record;
      }
      pendingTime = time;
      return undefined;
    };
  if (shell === 'zsh')
    return (line) => {
      const text = trimEnd(line);
      if (text === '') return undefined;
      // Everything up to the first semicolon is the header if it contains a colon, even if it has no valid time.
      const [, time, command] = /^: ([^;:]*):[^;]*;(.*)$/s.exec(text) ?? [];
      return time === undefined ? next(undefined, text) : next(readTime(time), command ?? '');
    };
  // `rr` does not read the files of other shells.
  return () => undefined;
}

/** Whether the first word of a command is `rr`, which `rr` neither records nor imports. */
export function isRrCommand(command: string): boolean {
  const text = trim(command);
  return text.startsWith('rr') && (text.length === 2 || isWhiteSpace(text, 2));
}

/** Parses a signed 64-bit integer as Rust does, and returns it without leading zeros and plus sign. */
function readTime(text: string): string | undefined {
  if (!/^[+-]?\d{1,40}$/.test(text)) return undefined;
  const value = BigInt(text.startsWith('+') ? text.slice(1) : text);
  return value >= MIN_TIME && value <= MAX_TIME ? value.toString() : undefined;
}

// Not `String.prototype.trim`: its white space contains U+FEFF and not U+0085, other than that of Rust.
function trim(text: string): string {
  let start = 0;
  while (start < text.length && isWhiteSpace(text, start)) start += 1;
  return trimEnd(text.slice(start));
}

function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && isWhiteSpace(text, end - 1)) end -= 1;
  return text.slice(0, end);
}

function isWhiteSpace(text: string, position: number): boolean {
  return /^\p{White_Space}$/u.test(text.charAt(position));
}
