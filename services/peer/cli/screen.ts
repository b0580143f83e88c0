// The output of a command: results on standard output, everything else on standard error. On a terminal the progress is
// one line that is rewritten, otherwise it is plain lines. Everything is made harmless for terminals here, because any text
// may come from another device or a tracker; no other file of the commands writes to a stream.
import { once } from 'node:events';
import type { WriteStream } from 'node:tty';
import { toPrintable, toPrintableJson } from '../../shared/printable.ts';

/** Interval between plain lines of progress, in milliseconds. */
const PLAIN_PROGRESS_MS = 2_000;

/** Minimum interval between two updates of the progress line, in milliseconds. */
const DRAWN_PROGRESS_MS = 100;

/** Default number of columns, for a terminal that does not report it. */
const DEFAULT_COLUMNS = 80;

const ERASE_LINE = '\r\u001B[2K';

const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;
export type Style = keyof typeof STYLES;

/** A stream to write to, which may be a terminal. */
export type Output = NodeJS.WritableStream & Partial<Pick<WriteStream, 'isTTY' | 'columns'>>;

export interface Screen {
  /**
   * Writes lines of the result; resolves when the stream accepts more.
   *
   * @param style that of the first `columns` characters of each line, if colors are used
   */
  out(lines: string | readonly string[], style?: Style, columns?: number): Promise<void>;
  /** Writes bytes as they are, for a result that is a file. Never to a terminal. The signal ends the wait for the reader. */
  bytes(chunk: Uint8Array, signal: AbortSignal): Promise<void>;
  /** Writes each value as one line of JSON. */
  json(...values: readonly unknown[]): Promise<void>;
  /** Writes a line to standard error. */
  note(line: string): void;
  /** Shows the progress; each call replaces the text of the previous one. */
  progress(text: string): void;
  /** Ends the progress line, so that other lines can follow. */
  endProgress(): void;
  /** Columns of a line on standard output. */
  readonly columns: number;
  /** Whether standard output is a terminal. */
  readonly isTerminal: boolean;
}

export interface ScreenOptions {
  readonly stdout: Output;
  readonly stderr: Output;
  /** Whether colors are used on a terminal. */
  readonly useColor: boolean;
  /** Monotonic clock, in milliseconds. */
  readonly nowMs: () => number;
}

export function createScreen({ stdout, stderr, useColor, nowMs }: ScreenOptions): Screen {
  const isDrawn = stderr.isTTY === true;
  // The first plain line is delayed, so that short work prints no progress.
  let shownMs = isDrawn ? -Infinity : nowMs();
  let shown = '';

  function endProgress(): void {
    if (shown !== '' && isDrawn) stderr.write(ERASE_LINE);
    shown = '';
  }

  async function write(text: string): Promise<void> {
    if (shown !== '' && isDrawn) stderr.write(ERASE_LINE);
    if (!stdout.write(`${text}\n`)) await once(stdout, 'drain');
  }

  function paint(line: string, style: Style | undefined, columns: number): string {
    const text = toPrintable(line);
    if (style === undefined || !useColor || stdout.isTTY !== true) return text;
    return `\u001B[${STYLES[style]}m${text.slice(0, columns)}\u001B[0m${text.slice(columns)}`;
  }

  return {
    async out(lines, style, columns = Infinity) {
      const all = typeof lines === 'string' ? [lines] : lines;
      await write(all.map((line) => paint(line, style, columns)).join('\n'));
    },
    async bytes(chunk, signal) {
      signal.throwIfAborted();
      if (!stdout.write(chunk)) await once(stdout, 'drain', { signal });
    },
    json: async (...values) => write(values.map(toPrintableJson).join('\n')),
    note(line) {
      endProgress();
      stderr.write(`${toPrintable(line)}\n`);
    },
    progress(given) {
      const text = toPrintable(given);
      const elapsedMs = nowMs() - shownMs;
      if (text === shown || elapsedMs < (isDrawn ? DRAWN_PROGRESS_MS : PLAIN_PROGRESS_MS)) return;
      shownMs = nowMs();
      shown = text;
      stderr.write(
        isDrawn ? `${ERASE_LINE}${text.slice(0, (stderr.columns ?? DEFAULT_COLUMNS) - 1)}` : `${text}\n`,
      );
    },
    endProgress,
    columns: stdout.columns ?? DEFAULT_COLUMNS,
    isTerminal: stdout.isTTY === true,
  };
}

/** A whole number with separated thousands, such as `12,000`. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

/** An amount of data, such as `3.1 MB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const [unit, size]: readonly [string, number] =
    bytes < 999_500 ? ['kB', bytes / 1e3] : bytes < 999_500_000 ? ['MB', bytes / 1e6] : ['GB', bytes / 1e9];
  return `${size.toFixed(size < 10 ? 1 : 0)} ${unit}`;
}

/** A duration, such as `850 ms`, `4.2 s` or `3 min 5 s`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  return `${Math.floor(milliseconds / 60_000)} min ${Math.round((milliseconds % 60_000) / 1000)} s`;
}

/** An age in seconds, such as `5 s`, `3 min`, `2 h` or `4 days`. */
export function formatAge(seconds: number): string {
  const units: ReadonlyArray<readonly [size: number, unit: string]> = [
    [86_400, 'days'],
    [3_600, 'h'],
    [60, 'min'],
    [1, 's'],
  ];
  // A unit is used only for two or more, because "90 min" is more precise than "1 h".
  const [size, unit] = units.find(([each]) => seconds >= 2 * each) ?? [1, 's'];
  return `${Math.max(0, Math.floor(seconds / size))} ${unit}`;
}

/** A number with its noun, such as `1 entry` or `12,000 entries`. */
export function formatAmount(count: number, one: string, many: string): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

/** Shortens the peer ids in a text to their last eight characters, because all peer ids have the same prefix. */
export function shortenPeerIds(text: string): string {
  return text.replaceAll(
    /\b(?:12D3KooW|16Uiu2HA|Qm)[1-9A-HJ-NP-Za-km-z]{30,}(?=([1-9A-HJ-NP-Za-km-z]{8})\b)/g,
    '…',
  );
}

/** Wraps a text at spaces to lines of at most `columns`. `first` precedes the first line, `indent` all others. */
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

/** Formats rows below headings, in columns that are two spaces apart. The last column is not padded. */
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
