// Reads the commands of the history files of bash, zsh and fish.
import { basename } from 'node:path';
import { parseBash } from './bash-history.ts';
import { parseFish } from './fish-history.ts';
import { type Line, readLines, type Shell } from './history-lines.ts';
import type { RrRecord } from './rr-records.ts';
import { parseZsh } from './zsh-history.ts';

export const SHELLS: readonly Shell[] = ['bash', 'zsh', 'fish'];

/** What a parser finds: a command with the lines that it consists of. */
export interface CommandLines {
  readonly text: string;
  readonly lines: readonly Line[];
  /** `undefined` when the file has no time for the command. */
  readonly unixSeconds: number | undefined;
  readonly durationMs?: number;
  /** The time in the id of the command, as all versions of this peer read it. */
  readonly idTime: number | undefined;
}

/** A command of a history file. */
export interface HistoryCommand {
  readonly command: string;
  /** `undefined` when the file has no time for the command. */
  readonly unixSeconds: number | undefined;
  readonly durationMs: number;
  /** The time in the id of the command. */
  readonly idTime: number | undefined;
  /** The number of commands before this one. */
  readonly position: number;
  /** The number of its first line. */
  readonly lineNumber: number;
  /** Whether `command` is only the start of a command that is too large. */
  readonly isCut: boolean;
  /** The record that `rr` reads from the line of the command; `undefined` when it does not read exactly one. */
  readonly rrRecord: RrRecord | undefined;
}

const PARSERS: Readonly<Record<Shell, (lines: Iterable<Line>) => Iterable<CommandLines>>> = {
  bash: parseBash,
  zsh: parseZsh,
  fish: parseFish,
};

/** The shell in the name of a history file; `undefined` when there is none. */
export function guessShell(path: string): Shell | undefined {
  const name = basename(path);
  return SHELLS.find((shell) => name.includes(shell));
}

/** Reads the commands of a history file one by one. Bytes that are not UTF-8 become U+FFFD. */
export function* readCommands(shell: Shell, chunks: Iterable<Buffer>): Generator<HistoryCommand> {
  let position = 0;
  for (const { text, lines, unixSeconds, durationMs = 0, idTime } of PARSERS[shell](
    readLines(shell, chunks),
  )) {
    const command = text.trim();
    const [first] = lines;
    if (command === '' || first === undefined) continue;
    const records = lines.flatMap(({ rrRecord }) => rrRecord ?? []);
    const rrRecord = records.length === 1 && records[0]?.command !== '' ? records[0] : undefined;
    const isCut = lines.some((line) => line.isCut);
    yield { command, unixSeconds, durationMs, idTime, position, lineNumber: first.number, isCut, rrRecord };
    position += 1;
  }
}
