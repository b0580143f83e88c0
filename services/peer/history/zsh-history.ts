// Parses the history file of zsh.
import { type Line, MAX_LINE_BYTES } from './history-lines.ts';
import { readUnixSeconds } from './history-times.ts';
import type { CommandLines } from './shell-history.ts';

/** The time and the duration before a command. */
const HEADER = /^: *([+-]?\d*):([+-]?\d*);(.*)$/s;

/** A header of which NUL bytes replaced the end. */
const CUT_HEADER = /^: ?[+-]?\d*(?::[+-]?\d*;?)?$/;

/** A header as earlier versions of this peer read it. Ids depend on it. */
const EARLIER_HEADER = /^: *(\d{1,11}):\d{1,9};/;

interface Header {
  readonly unixSeconds: number | undefined;
  readonly durationMs: number;
}

/**
 * The command, or with EXTENDED_HISTORY `: 1700000000:5;command`. A backslash at the end continues the line; after a
 * command that ends with a backslash zsh writes a space. Without EXTENDED_HISTORY a colon at the start is written as `\:`.
 */
export function* parseZsh(lines: Iterable<Line>): Generator<CommandLines> {
  let pending: Line[] = [];
  let text = '';
  /** The header before NUL bytes that may have replaced its command. */
  let header: Header | undefined;
  function* flush(isBeforeGap: boolean): Generator<CommandLines> {
    if (pending.length === 0) return;
    const command = toCommand(text, pending, header);
    const isHeader = isBeforeGap && CUT_HEADER.test(text);
    header = isHeader ? { unixSeconds: command.unixSeconds, durationMs: command.durationMs } : undefined;
    if (!isHeader) yield command;
    [pending, text] = [[], ''];
  }
  for (const line of lines) {
    if (line.isAfterGap) yield* flush(true);
    const continues = line.text.endsWith('\\');
    const part = continues
      ? `${line.text.slice(0, -1)}\n`
      : line.text.replace(/\\ +$/, (end) => end.slice(0, -1));
    // What exceeds the maximum is not kept; the command is too large anyway.
    const fits = text.length + part.length <= MAX_LINE_BYTES;
    pending.push(fits ? line : { ...line, isCut: true });
    if (fits) text += part;
    else if (pending.length > 1) pending = [{ ...(pending[0] as Line), isCut: true, rrRecord: undefined }];
    if (!continues || line.isBeforeGap) yield* flush(line.isBeforeGap);
  }
  yield* flush(false);
}

function toCommand(text: string, lines: readonly Line[], carried: Header | undefined): CommandLines & Header {
  const [, earlier] = EARLIER_HEADER.exec(text) ?? [];
  const idTime = earlier === undefined ? undefined : Number(earlier);
  const [, time = '', seconds = '', command] = HEADER.exec(text) ?? [];
  if (command === undefined)
    return {
      text: text.startsWith('\\:') ? text.slice(1) : text,
      lines,
      unixSeconds: undefined,
      durationMs: 0,
      idTime,
      ...carried,
    };
  return {
    text: command,
    lines,
    unixSeconds: readUnixSeconds(time),
    durationMs: toDurationMs(seconds),
    idTime,
  };
}

/** A clock that was set back makes durations negative. */
function toDurationMs(seconds: string): number {
  const durationMs = Number(seconds) * 1000;
  return Number.isSafeInteger(durationMs) && durationMs > 0 ? durationMs : 0;
}
