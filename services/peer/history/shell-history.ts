// Parses the history files of bash, zsh and fish, and converts their commands to entries. Pure functions. The id of an
// entry depends only on the user, the device, the shell, the command with its time, and the number of equal commands
// before it.
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import type { Entry } from './entry.ts';

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

/** The shell in the name of a history file; `undefined` when there is none. */
export function guessShell(path: string): Shell | undefined {
  const name = basename(path);
  return SHELLS.find((shell) => name.includes(shell));
}

/** Parses a history file. Bytes that are not UTF-8 become U+FFFD. */
export function parseHistory(shell: Shell, content: Buffer): HistoryCommand[] {
  if (shell === 'zsh') return parseZsh(unmetafy(content).toString('utf8'));
  const text = content.toString('utf8');
  return shell === 'bash' ? parseBash(text) : parseFish(text);
}

/**
 * Converts commands to entries. Importing the same file again, or a longer copy of it, yields the same ids for the same
 * commands; on another device the same file yields different ids. A generator, so that the entries of a large file are
 * not all in memory.
 */
export function* toEntries(commands: readonly HistoryCommand[], from: Provenance): Generator<Entry> {
  const repetitions = new Map<string, number>();
  for (const [position, { command, unixSeconds, durationMs }] of commands.entries()) {
    // Shells remove old lines, which changes line numbers. The number of equal commands before this one changes only
    // when one of those is removed.
    const key = `${unixSeconds ?? ''}\0${command}`;
    const repetition = repetitions.get(key) ?? 0;
    repetitions.set(key, repetition + 1);
    yield {
      entry_id: entryId(['import', from.userId, from.deviceId, from.shell, key, String(repetition)]),
      device_id: from.deviceId,
      user_id: from.userId,
      ts: unixSeconds ?? from.importUnixSeconds - (commands.length - 1 - position),
      cmd: command,
      cwd: UNKNOWN_DIRECTORY,
      exit_code: 0,
      duration_ms: durationMs,
      shell: from.shell,
      hostname: from.hostname,
      version: from.version,
    };
  }
}

/** A UUID of version 8 (RFC 9562, section 5.8) made from the SHA-256 of the parts. */
function entryId(parts: readonly string[]): string {
  const bytes = createHash('sha256').update(parts.join('\0')).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/**
 * bash: one command per line. With HISTTIMEFORMAT there is a line `#1700000000` before each command, and all lines up
 * to the next such line are one command (`cmdhist` with `lithist`).
 */
function parseBash(text: string): HistoryCommand[] {
  const commands: HistoryCommand[] = [];
  let unixSeconds: number | undefined;
  let lines: string[] = [];
  const flush = (): void => {
    addCommand(commands, lines.join('\n'), unixSeconds);
    lines = [];
  };
  for (const line of text.split('\n')) {
    const stamp = /^#(\d{1,11})$/.exec(line.trimEnd());
    if (stamp !== null) {
      flush();
      unixSeconds = Number(stamp[1]);
    } else {
      lines.push(line);
      if (unixSeconds === undefined) flush();
    }
  }
  flush();
  return commands;
}

/** zsh: the command, or with EXTENDED_HISTORY `: 1700000000:5;command`. A backslash at the end continues the line. */
function parseZsh(text: string): HistoryCommand[] {
  const commands: HistoryCommand[] = [];
  let pending = '';
  for (const line of text.split('\n')) {
    if (line.endsWith('\\')) {
      pending += `${line.slice(0, -1)}\n`;
      continue;
    }
    const [, time, seconds, rest] = /^: *(\d{1,11}):(\d{1,9});(.*)$/s.exec(pending + line) ?? [];
    addCommand(
      commands,
      rest ?? pending + line,
      time === undefined ? undefined : Number(time),
      Number(seconds ?? 0) * 1000,
    );
    pending = '';
  }
  addCommand(commands, pending, undefined);
  return commands;
}

/** fish: items `- cmd: …`, each followed by `  when: 1700000000` and paths. `\n` and `\\` are escape sequences. */
function parseFish(text: string): HistoryCommand[] {
  const commands: HistoryCommand[] = [];
  let command: string | undefined;
  let unixSeconds: number | undefined;
  const flush = (): void => {
    if (command !== undefined) addCommand(commands, command, unixSeconds);
    command = undefined;
    unixSeconds = undefined;
  };
  for (const line of text.split('\n')) {
    const [, cmd] = /^- cmd: (.*)$/.exec(line) ?? [];
    const [, when] = /^ {2}when: (\d{1,11})$/.exec(line) ?? [];
    if (cmd !== undefined) {
      flush();
      command = cmd.replaceAll(/\\([\\n])/g, (_, escaped: string) => (escaped === 'n' ? '\n' : '\\'));
    } else if (when !== undefined) unixSeconds = Number(when);
  }
  flush();
  return commands;
}

function addCommand(
  commands: HistoryCommand[],
  text: string,
  unixSeconds: number | undefined,
  durationMs = 0,
): void {
  const command = text.trim();
  if (command !== '') commands.push({ command, unixSeconds, durationMs });
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
