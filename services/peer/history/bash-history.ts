// Parses the history file of bash.
import { createBashScanner, type BashScanner } from './bash-syntax.ts';
import type { Line } from './history-lines.ts';
import { readStamp } from './history-times.ts';
import type { CommandLines } from './shell-history.ts';

/** Maximum lines and characters that are joined to one command, so that an open quote does not join the whole file. */
const MAX_JOINED_LINES = 5_000;
const MAX_JOINED_LENGTH = 1024 * 1024;

/** A time as earlier versions of this peer and `rr` read it: also `#443`. Ids depend on it. */
const ANY_STAMP = /^#(\d{1,11})$/;

interface OpenCommand {
  readonly first: CommandLines;
  readonly lines: Line[];
  readonly scanner: BashScanner;
  length: number;
}

/**
 * One command per line. With HISTTIMEFORMAT there is a line `#1700000000` before each command; the lines after such a
 * command that continue it (`lithist`, or a line feed in quotes) belong to it. Other lines are commands of their own: a
 * session without HISTTIMEFORMAT wrote them.
 */
export function* parseBash(lines: Iterable<Line>): Generator<CommandLines> {
  const readCommand = createStampReader();
  let open: OpenCommand | undefined;
  for (const line of lines) {
    if (open !== undefined) {
      const isEnd = line.isAfterGap || (line.text.startsWith('#') && isStamp(line));
      if (!isEnd && extend(open, line)) {
        if (open.scanner.isOpen()) continue;
        yield join(open);
        open = undefined;
        continue;
      }
      yield* isEnd ? [join(open)] : separate(open);
      open = undefined;
    }
    const command = readCommand(line);
    if (command === undefined) continue;
    open = command.unixSeconds === undefined ? undefined : start(command, line);
    if (open === undefined) yield command;
  }
  if (open !== undefined) yield join(open);
}

/** Reads lines outside of an open command. The result is `undefined` for a time and an empty line. */
function createStampReader(): (line: Line) => CommandLines | undefined {
  /** The time for the next command. */
  let stamp: { readonly unixSeconds: number | undefined } | undefined;
  let idTime: number | undefined;
  return (line) => {
    const text = line.text.trimEnd();
    if (text === '') return undefined;
    const [, digits = ''] = /^#(-?\d{1,19})$/.exec(text) ?? [];
    const unixSeconds = readStamp(digits);
    const timeOfId = idTime;
    const [, earlier] = ANY_STAMP.exec(text) ?? [];
    idTime = earlier === undefined ? undefined : Number(earlier);
    // A negative time is that of a wrong clock. Directly after a time it is a command, as any other comment.
    if (unixSeconds !== undefined || (digits.startsWith('-') && stamp === undefined)) {
      stamp = { unixSeconds };
      return undefined;
    }
    const command = { text: line.text, lines: [line], unixSeconds: stamp?.unixSeconds, idTime: timeOfId };
    stamp = undefined;
    return command;
  };
}

function isStamp({ text }: Line): boolean {
  return readStamp(text.trimEnd().slice(1)) !== undefined;
}

/** The command as an open one; `undefined` when it is complete. */
function start(first: CommandLines, line: Line): OpenCommand | undefined {
  if (line.isCut || line.isBeforeGap || line.text.length > MAX_JOINED_LENGTH) return undefined;
  const scanner = createBashScanner();
  scanner.read(line.text);
  return scanner.isOpen() ? { first, lines: [line], scanner, length: line.text.length } : undefined;
}

/** Adds a line, unless the command would become too large. */
function extend(open: OpenCommand, line: Line): boolean {
  const length = open.length + line.text.length + 1;
  if (line.isCut || length > MAX_JOINED_LENGTH || open.lines.length >= MAX_JOINED_LINES) return false;
  open.scanner.read(line.text);
  open.lines.push(line);
  open.length = length;
  return true;
}

function join({ first, lines }: OpenCommand): CommandLines {
  return { ...first, text: lines.map(({ text }) => text).join('\n'), lines };
}

/** Each line as a command of its own, because no end was found. */
function* separate({ first, lines }: OpenCommand): Generator<CommandLines> {
  yield first;
  for (const line of lines.slice(1))
    yield { text: line.text, lines: [line], unixSeconds: undefined, idTime: undefined };
}
