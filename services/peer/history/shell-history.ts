// Parses the history files of bash, zsh and fish, and converts their commands to records to import. Pure functions.
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import type { ImportRecord } from './import-ids.ts';
import { createRrReader, isRrCommand, type RrRecord } from './rr-records.ts';

export type Shell = 'bash' | 'zsh' | 'fish';

export const SHELLS: readonly Shell[] = ['bash', 'zsh', 'fish'];

/** The default history file of each shell. */
export const HISTORY_FILES: Readonly<Record<Shell, string>> = {
  bash: '~/.bash_history',
  zsh: '~/.zsh_history',
  fish: '~/.local/share/fish/fish_history',
};

/** Maximum size of a history file in bytes; its content is held in memory. */
export const MAX_HISTORY_BYTES = 256 * 1024 * 1024;

/** A command of a history file. */
export interface HistoryCommand {
  readonly command: string;
  /** `undefined` when the file has no time for the command. */
  readonly unixSeconds: number | undefined;
  readonly durationMs: number;
  /** The number of commands before this one. */
  readonly position: number;
  /** The record that `rr` reads from the line of the command; `undefined` when it does not read exactly one. */
  readonly rrRecord: RrRecord | undefined;
}

/** The fields that all entries of one import share. */
export interface Provenance {
  readonly shell: Shell;
  readonly userId: string;
  readonly deviceId: string;
  readonly hostname: string;
  readonly version: string;
  /** Time of the last command if the file has no times. The commands before it get times that are one second apart. */
  readonly importUnixSeconds: number;
}

/** Directory of an imported command, because history files do not contain it. `rr` uses the same text. */
const UNKNOWN_DIRECTORY = 'unknown';

/** The namespace of UUIDs that are made from URLs (RFC 9562, section 6.6). */
const URL_NAMESPACE = Buffer.from('6ba7b8119dad11d180b400c04fd430c8', 'hex');

const LINE_FEED = 0x0a;

/** The shell in the name of a history file; `undefined` when there is none. */
export function guessShell(path: string): Shell | undefined {
  const name = basename(path);
  return SHELLS.find((shell) => name.includes(shell));
}

/** Parses a history file. Bytes that are not UTF-8 become U+FFFD. */
export function parseHistory(shell: Shell, content: Buffer): HistoryCommand[] {
  const collector = createCollector();
  PARSERS[shell](readLines(shell, content), collector);
  return collector.commands;
}

/**
 * Converts commands to records. The file yields the same ids each time it is imported, and those that `rr` derives from
 * it; on another device it yields different ids. Commands of `rr` itself are omitted, as in `rr`. A generator, so that
 * the entries of a large file are not all in memory.
 */
export function* toRecords(commands: readonly HistoryCommand[], from: Provenance): Generator<ImportRecord> {
  const repetitions = new Map<string, number>();
  for (const [index, line] of commands.entries()) {
    const { command, unixSeconds, durationMs } = line;
    if (isRrCommand(command)) continue;
    // Shells remove old lines, which changes line numbers. The number of equal commands before this one changes only
    // when one of those is removed.
    const key = `${unixSeconds ?? ''}\0${command}`;
    const repetition = repetitions.get(key) ?? 0;
    repetitions.set(key, repetition + 1);
    const entry = {
      entry_id: entryIdOf(line, from),
      device_id: from.deviceId,
      user_id: from.userId,
      ts: unixSeconds ?? from.importUnixSeconds - (commands.length - 1 - index),
      cmd: command,
      cwd: UNKNOWN_DIRECTORY,
      exit_code: 0,
      duration_ms: durationMs,
      shell: from.shell,
      hostname: from.hostname,
      version: from.version,
    };
    yield { entry, repetitionId: repetitionIdOf(key, repetition, from) };
  }
}

/** The id that `rr` derives, or for a command that is not one record of `rr` an id that no record of `rr` can have. */
function entryIdOf({ command, unixSeconds, position, rrRecord }: HistoryCommand, from: Provenance): string {
  const owner = [from.userId, from.deviceId, from.shell];
  const name =
    rrRecord === undefined
      ? ['rustory-p2p:import', ...owner, unixSeconds ?? 0, position, command]
      : ['rustory:import', ...owner, rrRecord.time, rrRecord.index, rrRecord.command];
  const hash = createHash('sha1').update(URL_NAMESPACE).update(name.join('\0')).digest();
  return toUuid(hash, 5);
}

/** The id under which earlier versions stored a command. */
function repetitionIdOf(key: string, repetition: number, { userId, deviceId, shell }: Provenance): string {
  const parts = ['import', userId, deviceId, shell, key, String(repetition)];
  return toUuid(createHash('sha256').update(parts.join('\0')).digest(), 8);
}

/** A UUID of this version (RFC 9562) made from the first 16 bytes of a hash. */
function toUuid(hash: Buffer, version: number): string {
  const bytes = hash.subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | (version << 4);
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** A physical line. */
interface Line {
  readonly text: string;
  readonly rrRecord: RrRecord | undefined;
}

function* readLines(shell: Shell, content: Buffer): Generator<Line> {
  const readAsRr = createRrReader(shell);
  for (let start = 0; start <= content.length;) {
    const newline = content.indexOf(LINE_FEED, start);
    const end = newline === -1 ? content.length : newline;
    const bytes = content.subarray(start, end);
    const text = bytes.toString('utf8');
    yield { text: shell === 'zsh' ? unmetafy(bytes).toString('utf8') : text, rrRecord: readAsRr(text) };
    start = end + 1;
  }
}

/** Collects the commands of a file. */
interface Collector {
  readonly commands: HistoryCommand[];
  /** Adds a command that consists of these lines. Without text it is omitted. */
  add(text: string, lines: readonly Line[], unixSeconds: number | undefined, durationMs?: number): void;
}

function createCollector(): Collector {
  const commands: HistoryCommand[] = [];
  return {
    commands,
    add(text, lines, unixSeconds, durationMs = 0) {
      const command = text.trim();
      if (command === '') return;
      const records = lines.flatMap(({ rrRecord }) => rrRecord ?? []);
      const rrRecord = records.length === 1 && records[0]?.command !== '' ? records[0] : undefined;
      commands.push({ command, unixSeconds, durationMs, position: commands.length, rrRecord });
    },
  };
}

type Parser = (lines: Iterable<Line>, collector: Collector) => void;

const PARSERS: Readonly<Record<Shell, Parser>> = { bash: parseBash, zsh: parseZsh, fish: parseFish };

/**
 * bash: one command per line. With HISTTIMEFORMAT there is a line `#1700000000` before each command, and all lines up
 * to the next such line are one command (`cmdhist` with `lithist`).
 */
function parseBash(lines: Iterable<Line>, { add }: Collector): void {
  let unixSeconds: number | undefined;
  let pending: Line[] = [];
  const flush = (): void => {
    add(pending.map(({ text }) => text).join('\n'), pending, unixSeconds);
    pending = [];
  };
  for (const line of lines) {
    const stamp = /^#(\d{1,11})$/.exec(line.text.trimEnd());
    if (stamp !== null) {
      flush();
      unixSeconds = Number(stamp[1]);
    } else {
      pending.push(line);
      if (unixSeconds === undefined) flush();
    }
  }
  flush();
}

/** zsh: the command, or with EXTENDED_HISTORY `: 1700000000:5;command`. A backslash at the end continues the line. */
function parseZsh(lines: Iterable<Line>, { add }: Collector): void {
  let [pending, text]: [Line[], string] = [[], ''];
  for (const line of lines) {
    pending.push(line);
    if (line.text.endsWith('\\')) {
      text += `${line.text.slice(0, -1)}\n`;
      continue;
    }
    text += line.text;
    const [, time, seconds, rest] = /^: *(\d{1,11}):(\d{1,9});(.*)$/s.exec(text) ?? [];
    const unixSeconds = time === undefined ? undefined : Number(time);
    add(rest ?? text, pending, unixSeconds, Number(seconds ?? 0) * 1000);
    [pending, text] = [[], ''];
  }
  add(text, pending, undefined);
}

/** fish: items `- cmd: …`, each followed by `  when: 1700000000` and paths. `\n` and `\\` are escape sequences. */
function parseFish(lines: Iterable<Line>, { add }: Collector): void {
  let command: string | undefined;
  let unixSeconds: number | undefined;
  const flush = (): void => {
    if (command !== undefined) add(command, [], unixSeconds);
    command = undefined;
    unixSeconds = undefined;
  };
  for (const { text } of lines) {
    const [, cmd] = /^- cmd: (.*)$/.exec(text) ?? [];
    const [, when] = /^ {2}when: (\d{1,11})$/.exec(text) ?? [];
    if (cmd !== undefined) {
      flush();
      command = cmd.replaceAll(/\\([\\n])/g, (_, escaped: string) => (escaped === 'n' ? '\n' : '\\'));
    } else if (when !== undefined) unixSeconds = Number(when);
  }
  flush();
}

/** Decodes the "metafied" encoding of zsh, which writes some bytes of a character as 0x83 and the byte XOR 0x20. */
function unmetafy(content: Buffer): Buffer {
  const plain = Buffer.allocUnsafe(content.length);
  let length = 0;
  for (let index = 0; index < content.length; index += 1) {
    const byte = content[index] ?? 0;
    if (byte === 0x83 && index + 1 < content.length) {
      index += 1;
      plain[length] = (content[index] ?? 0) ^ 0x20;
    } else plain[length] = byte;
    length += 1;
  }
  return plain.subarray(0, length);
}
