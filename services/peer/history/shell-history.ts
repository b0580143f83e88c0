// Reads the history files of bash, zsh and fish. Pure: text in, commands out. It also gives each command an id that
// depends on nothing but the device, the file's kind, the command and which repetition of it this is.
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import type { Entry } from './entry.ts';

export type Shell = 'bash' | 'zsh' | 'fish';

export const SHELLS: readonly Shell[] = ['bash', 'zsh', 'fish'];

/** Where each shell keeps its history unless it was told otherwise. */
export const HISTORY_FILES: Readonly<Record<Shell, string>> = {
  bash: '~/.bash_history',
  zsh: '~/.zsh_history',
  fish: '~/.local/share/fish/fish_history',
};

/** Largest history file, in bytes; its text is held in memory. */
export const MAX_HISTORY_BYTES = 256 * 1024 * 1024;

/** A command as a history file holds it. */
export interface HistoryCommand {
  readonly command: string;
  /** Unix seconds; absent where the shell did not write it. */
  readonly time: number | undefined;
  readonly durationMs: number;
}

/** Whose entries these become. */
export interface Provenance {
  readonly shell: Shell;
  readonly userId: string;
  readonly deviceId: string;
  readonly hostname: string;
  readonly version: string;
  /** Unix seconds for commands without a time; they end here, a second apart, in the order of the file. */
  readonly now: number;
}

/** The working directory of an imported command, which no history file holds; the word is `rr`'s. */
const UNKNOWN_DIRECTORY = 'unknown';

/** The shell that a history file's name tells of, or `undefined`. */
export function guessShell(path: string): Shell | undefined {
  const name = basename(path);
  return SHELLS.find((shell) => name.includes(shell));
}

/** Reads a history file. zsh's own escaping is undone; bytes that are no UTF-8 become U+FFFD. */
export function parseHistory(shell: Shell, content: Buffer): HistoryCommand[] {
  if (shell === 'zsh') return parseZsh(unmetafy(content).toString('utf8'));
  const text = content.toString('utf8');
  return shell === 'bash' ? parseBash(text) : parseFish(text);
}

/**
 * Makes entries of the commands. Importing the same file again, or a longer copy of it, gives the same ids for the
 * same commands; the same file on another device gives others. One after the other, so that a large file does not
 * fill the memory twice.
 */
export function* toEntries(commands: readonly HistoryCommand[], from: Provenance): Generator<Entry> {
  const repetitions = new Map<string, number>();
  for (const [position, { command, time, durationMs }] of commands.entries()) {
    // Shells drop old lines, so a line number would change; the count of equal commands before it does so only
    // when one of those was dropped.
    const key = `${time ?? ''}\0${command}`;
    const repetition = repetitions.get(key) ?? 0;
    repetitions.set(key, repetition + 1);
    yield {
      entry_id: entryId(['import', from.userId, from.deviceId, from.shell, key, String(repetition)]),
      device_id: from.deviceId,
      user_id: from.userId,
      ts: time ?? from.now - (commands.length - 1 - position),
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
 * bash: one command a line; with HISTTIMEFORMAT a line `#1700000000` stands before each command, and then all
 * lines up to the next such line are one command (`cmdhist` with `lithist`).
 */
function parseBash(text: string): HistoryCommand[] {
  const commands: HistoryCommand[] = [];
  let time: number | undefined;
  let lines: string[] = [];
  const flush = (): void => {
    addCommand(commands, lines.join('\n'), time);
    lines = [];
  };
  for (const line of text.split('\n')) {
    const stamp = /^#(\d{1,11})$/.exec(line.trimEnd());
    if (stamp !== null) {
      flush();
      time = Number(stamp[1]);
    } else {
      lines.push(line);
      if (time === undefined) flush();
    }
  }
  flush();
  return commands;
}

/** zsh: plain lines, or with EXTENDED_HISTORY `: 1700000000:5;command`; a backslash at the end continues the line. */
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

/** fish: a list of `- cmd: …` with `  when: 1700000000` and paths below; `\n` and `\\` are escapes. */
function parseFish(text: string): HistoryCommand[] {
  const commands: HistoryCommand[] = [];
  let command: string | undefined;
  let time: number | undefined;
  const flush = (): void => {
    if (command !== undefined) addCommand(commands, command, time);
    command = undefined;
    time = undefined;
  };
  for (const line of text.split('\n')) {
    const [, cmd] = /^- cmd: (.*)$/.exec(line) ?? [];
    const [, when] = /^ {2}when: (\d{1,11})$/.exec(line) ?? [];
    if (cmd !== undefined) {
      flush();
      command = cmd.replaceAll(/\\([\\n])/g, (_, escaped: string) => (escaped === 'n' ? '\n' : '\\'));
    } else if (when !== undefined) time = Number(when);
  }
  flush();
  return commands;
}

function addCommand(
  commands: HistoryCommand[],
  text: string,
  time: number | undefined,
  durationMs = 0,
): void {
  const command = text.trim();
  if (command !== '') commands.push({ command, time, durationMs });
}

/** zsh writes some bytes as 0x83 and the byte XOR 0x20 ("metafied"), which tears UTF-8 apart. */
function unmetafy(content: Buffer): Buffer {
  const plain = Buffer.allocUnsafe(content.length);
  let length = 0;
  for (let at = 0; at < content.length; at += 1) {
    const byte = content[at] ?? 0;
    if (byte === 0x83 && at + 1 < content.length) {
      at += 1;
      plain[length] = (content[at] ?? 0) ^ 0x20;
    } else plain[length] = byte;
    length += 1;
  }
  return plain.subarray(0, length);
}
