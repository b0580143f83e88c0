// What a command shows: results on standard output, everything else on standard error; progress in one line that
// rewrites itself on a terminal and in plain lines otherwise.
import { once } from 'node:events';
import type { WriteStream } from 'node:tty';

/** Pause between plain lines of progress, in milliseconds. */
const PLAIN_PROGRESS_MS = 2_000;

/** Pause between two drawings of the progress line, in milliseconds. */
const DRAWN_PROGRESS_MS = 100;

/** Columns where the terminal does not tell. */
const DEFAULT_COLUMNS = 80;

const ERASE_LINE = '\r\u001B[2K';

const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;
export type Style = keyof typeof STYLES;

/** A stream to write to: a terminal, a pipe, a file, or what a test reads from. */
export type Output = NodeJS.WritableStream & Partial<Pick<WriteStream, 'isTTY' | 'columns'>>;

export interface Screen {
  /** Writes a line of the result; resolves when the reader can take more. */
  out(line: string): Promise<void>;
  /** Writes a line for people. */
  note(line: string): void;
  /** Shows how far the work has come; each call replaces the one before. */
  progress(text: string): void;
  /** Ends the progress line, so that other lines can follow. */
  endProgress(): void;
  /** How wide a line for people may be. */
  readonly columns: number;
  /** Colours text for standard output, where that is wanted. */
  style(style: Style, text: string): string;
}

export interface ScreenOptions {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly colour: boolean;
  /** Milliseconds that only grow. */
  readonly clock: () => number;
}

export function createScreen({ stdout, stderr, colour, clock }: ScreenOptions): Screen {
  const isDrawn = stderr.isTTY === true;
  // Work that is done before the first plain line was due needs none.
  let shownAt = isDrawn ? -Infinity : clock();
  let shown = '';

  function endProgress(): void {
    if (shown !== '' && isDrawn) stderr.write(ERASE_LINE);
    shown = '';
  }

  return {
    async out(line) {
      if (shown !== '' && isDrawn) stderr.write(ERASE_LINE);
      if (!stdout.write(`${line}\n`)) await once(stdout, 'drain');
    },
    note(line) {
      endProgress();
      stderr.write(`${printable(line)}\n`);
    },
    progress(text) {
      const now = clock();
      if (text === shown || now - shownAt < (isDrawn ? DRAWN_PROGRESS_MS : PLAIN_PROGRESS_MS)) return;
      shownAt = now;
      shown = text;
      stderr.write(
        isDrawn ? `${ERASE_LINE}${text.slice(0, (stderr.columns ?? DEFAULT_COLUMNS) - 1)}` : `${text}\n`,
      );
    },
    endProgress,
    columns: stdout.columns ?? DEFAULT_COLUMNS,
    style: (style, text) =>
      colour && stdout.isTTY === true ? `\u001B[${STYLES[style]}m${text}\u001B[0m` : text,
  };
}

/**
 * A text without control characters but tabs and new lines: what other devices and trackers send must not be able
 * to move the cursor, change colours or retitle the terminal of who looks at it.
 */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u0008\u000B-\u001F\u007F-\u009F]/g, '\uFFFD');
}

/** A whole number with its thousands apart: 12,000. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

/** An amount of data: 3.1 MB. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const [unit, size]: readonly [string, number] =
    bytes < 999_500 ? ['kB', bytes / 1e3] : bytes < 999_500_000 ? ['MB', bytes / 1e6] : ['GB', bytes / 1e9];
  return `${size.toFixed(size < 10 ? 1 : 0)} ${unit}`;
}

/** A duration: 850 ms, 4.2 s, 3 min 5 s. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  return `${Math.floor(milliseconds / 60_000)} min ${Math.round((milliseconds % 60_000) / 1000)} s`;
}

/** How long ago something was, in seconds: 5 s, 3 min, 2 h, 4 days. */
export function formatAge(seconds: number): string {
  const units: ReadonlyArray<readonly [size: number, unit: string]> = [
    [86_400, 'days'],
    [3_600, 'h'],
    [60, 'min'],
    [1, 's'],
  ];
  // Two of a unit before the smaller one gives way: 90 minutes tell more than one hour.
  const [size, unit] = units.find(([each]) => seconds >= 2 * each) ?? [1, 's'];
  return `${Math.max(0, Math.floor(seconds / size))} ${unit}`;
}

/** A number of things: 1 entry, 12,000 entries. */
export function formatAmount(count: number, one: string, many: string): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** A text with the peer ids in it cut to their ends, which tell devices apart; their starts are the same for all. */
export function shortenPeerIds(text: string): string {
  return text.replaceAll(
    /\b(?:12D3KooW|16Uiu2HA|Qm)[1-9A-HJ-NP-Za-km-z]{30,}(?=([1-9A-HJ-NP-Za-km-z]{8})\b)/g,
    '…',
  );
}

/** A text as lines of at most `columns`, broken at spaces: `first` stands before the first line, `indent` before the others. */
export function wrap(text: string, columns: number, first: string, indent: string): string[] {
  const lines: string[] = [];
  let line = first;
  let isEmpty = true;
  for (const word of text.split(' ')) {
    if (!isEmpty && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = indent;
      isEmpty = true;
    }
    line += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return [...lines, line];
}

/** Rows under headings, in columns two spaces apart; the last column is never padded. */
export function formatTable(headings: readonly string[], rows: ReadonlyArray<readonly string[]>): string[] {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  return [headings, ...rows].map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
