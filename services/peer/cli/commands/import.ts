// `import`: adds the commands of the history file of a shell.
import { hostname } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import { basename } from 'node:path';
import { unixSeconds } from '../../../shared/clock.ts';
import { describeError, errorCode } from '../../../shared/errors.ts';
import { VERSION } from '../../../shared/program.ts';
import { quote } from '../../../shared/variables.ts';
import { PROGRAM, type PeerConfig } from '../../config/config.ts';
import { checkEntry } from '../../history/entry-rules.ts';
import { type HistoryFile, openHistoryFile } from '../../history/history-file.ts';
import { MAX_LINE_BYTES, type Shell } from '../../history/history-lines.ts';
import { summarizeTimes } from '../../history/history-times.ts';
import { type LocatedRecord, toRecords } from '../../history/import-records.ts';
import { guessShell, readCommands, SHELLS } from '../../history/shell-history.ts';
import { openHistory } from '../context.ts';
import { CommandError } from '../exit-codes.ts';
import { findHistoryFiles, type HistoryFiles } from '../history-files.ts';
import { formatAge, formatCount, type Screen } from '../screen.ts';
import { type Command, JSON_OPTION, textOption } from './command.ts';

/**
 * Maximum entries in a transaction, and maximum length of their commands together. Every transaction writes most pages of
 * the indexes, so fewer ones are faster; while one runs, about a second, other processes wait for the database.
 */
const BATCH_ENTRIES = 20000;
const BATCH_LENGTH = 16 * 1024 * 1024;

/** Maximum commands in a file. For each of them a hash is held in memory. */
const MAX_COMMANDS = 10_000_000;

/** Maximum line numbers in the report of commands that are not imported. */
const MAX_REPORTED_LINES = 10;

export const importHistory: Command = {
  name: 'import',
  usage: 'import [--shell bash|zsh|fish] [FILE]',
  summary: 'import the history file of a shell',
  help: `Reads the whole file, including the times that bash (HISTTIMEFORMAT), zsh
(EXTENDED_HISTORY) and fish write. Importing the same file again adds only the
commands that are new, as does importing it with rr. Deleted commands and those
of rr itself are not imported. The file is not changed.

Without FILE the file is searched where the shell has it: HISTFILE, ZDOTDIR,
XDG_DATA_HOME and fish_history are used if they are exported. Most shells do not
export HISTFILE; give it as FILE if your configuration sets it. Without --shell
the shell is that of the name of FILE, or else the login shell (SHELL).

A command without a time gets the time of the command before it. If the file
begins with such commands, they are dated one second apart before the first
time; if it has no times at all, before the last change of the file.

  ${PROGRAM.name} import
  ${PROGRAM.name} import --shell zsh "$HISTFILE"
  ${PROGRAM.name} import ~/.bash_history`,
  options: {
    shell: {
      value: 'SHELL',
      doc: `shell that wrote the file: ${SHELLS.join(', ')} (default: from its name, or the login shell)`,
    },
    json: JSON_OPTION,
  },
  maxPositionals: 1,
  async run({ config, options, positionals, screen, signal }) {
    const shell = chooseShell(config, textOption(options, 'shell'), positionals[0]);
    const path = positionals[0] ?? chooseFile(config, shell, screen);
    const file = openFile(path);
    try {
      const report = await importFile({ config, shell, path, file, screen, signal });
      screen.endProgress();
      const { commands, imported, skipped, invalid } = report;
      if (invalid.count > 0) screen.note(describeInvalid(invalid));
      if (options['json'] === true)
        await screen.json({
          shell,
          path,
          commands,
          imported,
          skipped,
          invalid: invalid.count,
          ...(invalid.count > 0 ? { invalid_lines: invalid.lines, invalid_reason: invalid.text } : {}),
        });
      else
        await screen.out(
          `imported ${formatCount(imported)} commands, skipped ${formatCount(skipped)} (already stored, deleted or ignored)`,
        );
      return 'ok';
    } finally {
      file.close();
    }
  },
};

/** Commands that no device could store. */
interface InvalidCommands {
  count: number;
  /** The reason of the first one. */
  text: string;
  /** The numbers of the first lines of the first ones. */
  readonly lines: number[];
}

interface Import {
  readonly config: PeerConfig;
  readonly shell: Shell;
  readonly path: string;
  readonly file: HistoryFile;
  readonly screen: Screen;
  readonly signal: AbortSignal;
}

async function importFile({ config, shell, path, file, screen, signal }: Import) {
  const { ignoredCommands, userId, deviceId } = config;
  const times = readTimes(path, shell, file);
  const from = {
    shell,
    userId,
    deviceId,
    hostname: hostname(),
    version: VERSION,
    lastUnixSeconds: Math.min(file.modifiedUnixSeconds, unixSeconds()),
    isIgnored: (command: string) => ignoredCommands?.test(command) === true,
  };
  const invalid: InvalidCommands = { count: 0, text: '', lines: [] };
  const records = toRecords(readCommands(shell, file.chunks()), from, times);
  const { database, store } = openHistory(config);
  try {
    database.enlargeCache();
    let imported = 0;
    let processed = 0;
    for (const batch of inBatches(validRecords(records, invalid))) {
      // Signals arrive only between two tasks.
      await setImmediate();
      signal.throwIfAborted();
      imported += store.importRecords(batch).inserted;
      processed += batch.length;
      screen.progress(`${formatCount(processed)} of ${formatCount(times.count)} commands`);
    }
    const skipped = Math.max(0, times.count - imported - invalid.count);
    return { commands: times.count, imported, skipped, invalid };
  } finally {
    database.close();
  }
}

function readTimes(path: string, shell: Shell, file: HistoryFile) {
  try {
    return summarizeTimes(readCommands(shell, file.chunks()), MAX_COMMANDS);
  } catch (error) {
    throw toReadError(path, error);
  }
}

/** The records that any device can store. Counts the others. */
function* validRecords(records: Iterable<LocatedRecord>, invalid: InvalidCommands): Generator<LocatedRecord> {
  for (const record of records) {
    const checked = checkEntry(record.entry);
    const text = record.isCut
      ? `The line is larger than ${MAX_LINE_BYTES} bytes.`
      : checked.ok
        ? undefined
        : checked.text;
    if (text === undefined) {
      yield record;
      continue;
    }
    invalid.count += 1;
    if (invalid.text === '') invalid.text = text;
    if (invalid.lines.length < MAX_REPORTED_LINES) invalid.lines.push(record.lineNumber);
  }
}

function describeInvalid({ count, lines, text }: InvalidCommands): string {
  const [verb, pronoun] = [count === 1 ? 'command is' : 'commands are', count === 1 ? 'it' : 'them'];
  const more = count > lines.length ? ' and others' : '';
  return `${formatCount(count)} ${verb} not imported, because other devices could not store ${pronoun}: ${text} ${count === 1 ? 'It is' : 'They are'} at line ${lines.join(', ')}${more}.`;
}

function* inBatches(records: Iterable<LocatedRecord>): Generator<LocatedRecord[]> {
  let batch: LocatedRecord[] = [];
  let length = 0;
  for (const record of records) {
    batch.push(record);
    length += record.entry.cmd.length;
    if (batch.length < BATCH_ENTRIES && length < BATCH_LENGTH) continue;
    yield batch;
    [batch, length] = [[], 0];
  }
  if (batch.length > 0) yield batch;
}

function chooseShell(
  { shellVariables }: PeerConfig,
  named: string | undefined,
  path: string | undefined,
): Shell {
  const advice = `Add --shell with one of ${SHELLS.join(', ')}.`;
  if (named !== undefined) {
    const shell = SHELLS.find((one) => one === named);
    if (shell !== undefined) return shell;
    throw new CommandError('usage', `--shell: ${quote(named)} is not a known shell.`, { advice });
  }
  if (path !== undefined) {
    const shell = guessShell(path);
    if (shell !== undefined) return shell;
    throw new CommandError('usage', `${path}: the shell cannot be determined from the name of the file.`, {
      advice,
    });
  }
  const login = basename(shellVariables.shell);
  const shell = SHELLS.find((one) => one === login);
  if (shell !== undefined) return shell;
  throw new CommandError(
    'usage',
    login === ''
      ? 'Neither --shell nor the path of a history file is given, and SHELL is not set.'
      : `Neither --shell nor the path of a history file is given, and the login shell ${quote(login)} is not a known shell.`,
    { advice },
  );
}

/** The file of the shell. Says which one it is and how old, and which other files exist. */
function chooseFile({ shellVariables }: PeerConfig, shell: Shell, screen: Screen): string {
  const files = findHistoryFiles(shell, shellVariables);
  for (const note of files.notes) screen.note(note);
  const { chosen, others } = files;
  if (chosen === undefined) throw notFound(shell, files);
  screen.note(`Reading ${describeFile(chosen)}.`);
  for (const other of others)
    screen.note(`${describeFile(other)}, also exists and is not imported; give it as FILE to import it.`);
  return chosen.path;
}

function notFound(shell: Shell, { candidates, others }: HistoryFiles): CommandError {
  const places = candidates.map(({ path, origin }) => (origin === '' ? path : `${path} (${origin})`));
  const [first = ''] = places;
  const [other] = others;
  if (other !== undefined)
    return new CommandError(
      'failure',
      `${first} does not exist, where ${shell} has its history. ${describeFile(other)}, exists, and is not imported because it may be an old one.`,
      { advice: `Run "${PROGRAM.name} import --shell ${shell} ${other.path}" to import it.` },
    );
  return new CommandError(
    'failure',
    `No history file of ${shell} was found; these do not exist: ${places.join(', ')}.`,
    {
      advice: `Run "${PROGRAM.name} import --shell ${shell} FILE" with the path that "echo $HISTFILE" prints in the shell.`,
    },
  );
}

function describeFile({ path, modifiedUnixMs }: { path: string; modifiedUnixMs: number }): string {
  return `${path}, last changed ${formatAge((Date.now() - modifiedUnixMs) / 1000)} ago`;
}

function openFile(path: string): HistoryFile {
  try {
    return openHistoryFile(path);
  } catch (error) {
    throw toReadError(path, error);
  }
}

function toReadError(path: string, error: unknown): CommandError {
  const reason = errorCode(error) === 'ENOENT' ? 'The file does not exist (ENOENT)' : describeError(error);
  return new CommandError('failure', `${path}: cannot be read: ${reason}.`, { cause: error });
}
