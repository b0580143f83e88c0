// `import`, `record` and `entries`: write to the database of this device and read from it.
import { randomUUID } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { unixSeconds } from '../../../shared/clock.ts';
import { describeError } from '../../../shared/errors.ts';
import { VERSION } from '../../../shared/program.ts';
import { quote } from '../../../shared/variables.ts';
import { PROGRAM } from '../../config/config.ts';
import { expandHome } from '../../config/settings.ts';
import type { Entry } from '../../history/entry.ts';
import { checkEntry, type InvalidField } from '../../history/entry-rules.ts';
import type { ImportRecord } from '../../history/import-ids.ts';
import {
  guessShell,
  HISTORY_FILES,
  MAX_HISTORY_BYTES,
  parseHistory,
  type Shell,
  SHELLS,
  toRecords,
} from '../../history/shell-history.ts';
import { openHistory } from '../context.ts';
import { CommandError } from '../exit-codes.ts';
import { formatAmount, formatBytes, formatCount } from '../screen.ts';
import { type Command, JSON_OPTION, numberOption, type OptionValues, textOption } from './command.ts';

/** Entries per transaction and per read. */
const BATCH_ENTRIES = 5_000;

/** Maximum length of the commands and directories of one read, in characters. A single entry may be longer. */
const MAX_BATCH_LENGTH = 8 * 1024 * 1024;

/** Exit codes are stored as 32-bit integers. */
const MAX_INT32 = 2 ** 31 - 1;

export const importHistory: Command = {
  name: 'import',
  usage: 'import [--shell bash|zsh|fish] [FILE]',
  summary: 'import the history file of a shell',
  help: `Reads the whole file, including the times that bash (HISTTIMEFORMAT), zsh
(EXTENDED_HISTORY) and fish write. Importing the same file again adds only the
commands that are new, as does importing it with rr. Deleted commands and those
of rr itself are not imported. The file is not changed. The default of FILE is
the usual history file of the shell.

  ${PROGRAM.name} import --shell zsh
  ${PROGRAM.name} import ~/.bash_history
  ${PROGRAM.name} import --shell zsh old/history.txt`,
  options: {
    shell: {
      value: 'SHELL',
      doc: `shell that wrote the file: ${SHELLS.join(', ')} (default: from its name)`,
    },
    json: JSON_OPTION,
  },
  maxPositionals: 1,
  async run({ config, options, positionals, screen, signal }) {
    const shell = readShell(options, positionals[0]);
    const path = positionals[0] ?? expandHome(HISTORY_FILES[shell], config.home);
    const commands = parseHistory(shell, readHistoryFile(path));
    const { ignoredCommands, userId, deviceId } = config;
    const wanted = commands.filter(({ command }) => ignoredCommands?.test(command) !== true);
    const from = {
      shell,
      userId,
      deviceId,
      hostname: hostname(),
      version: VERSION,
      importUnixSeconds: unixSeconds(),
    };
    const { database, store } = openHistory(config);
    try {
      let imported = 0;
      let processed = 0;
      const invalid = { count: 0, text: '' };
      for (const batch of inBatches(validRecords(toRecords(wanted, from), invalid))) {
        signal.throwIfAborted();
        imported += store.importRecords(batch).inserted;
        processed += batch.length;
        screen.progress(`${formatCount(processed)} of ${formatCount(wanted.length)} commands`);
      }
      screen.endProgress();
      const skipped = commands.length - imported - invalid.count;
      if (invalid.count > 0)
        screen.note(
          `${formatAmount(invalid.count, 'command is', 'commands are')} not imported, because other devices could not store ${invalid.count === 1 ? 'it' : 'them'}: ${invalid.text}`,
        );
      if (options['json'] === true)
        await screen.json({ shell, commands: commands.length, imported, skipped, invalid: invalid.count });
      else
        await screen.out(
          `imported ${formatCount(imported)} commands, skipped ${formatCount(skipped)} (already stored, deleted or ignored)`,
        );
      return 'ok';
    } finally {
      database.close();
    }
  },
};

export const record: Command = {
  name: 'record',
  usage: 'record --cmd COMMAND [--cwd DIR] [--exit-code N] …',
  summary: 'add one command, as a shell hook does',
  help: `Adds one entry with the current time. A command that matches record_ignore_regex
is not added.

  ${PROGRAM.name} record --cmd 'make test' --exit-code 2 --duration-ms 4100`,
  options: {
    cmd: { value: 'COMMAND', doc: 'command line' },
    cwd: { value: 'DIR', doc: 'working directory (default: the current one)' },
    'exit-code': { value: 'N', doc: 'exit code (default 0)' },
    'duration-ms': { value: 'N', doc: 'duration in milliseconds (default 0)' },
    shell: { value: 'SHELL', doc: 'name of the shell (default sh)' },
    hostname: { value: 'NAME', doc: 'host name (default: of this device)' },
    'print-id': { doc: 'print the id of the entry' },
  },
  maxPositionals: 0,
  async run({ config, options, screen }) {
    const cmd = textOption(options, 'cmd')?.trim() ?? '';
    if (cmd === '') throw new CommandError('usage', '--cmd: The command is missing or empty.');
    const { ignoredCommands, userId, deviceId } = config;
    if (ignoredCommands?.test(cmd) === true) return 'ok';
    const checked = checkEntry({
      entry_id: randomUUID(),
      device_id: deviceId,
      user_id: userId,
      ts: unixSeconds(),
      cmd,
      cwd: textOption(options, 'cwd') ?? process.cwd(),
      exit_code: numberOption(options, 'exit-code', [-MAX_INT32 - 1, MAX_INT32], 0),
      duration_ms: numberOption(options, 'duration-ms', [0, Number.MAX_SAFE_INTEGER], 0),
      shell: textOption(options, 'shell') ?? 'sh',
      hostname: textOption(options, 'hostname') ?? hostname(),
      version: VERSION,
    });
    if (!checked.ok)
      throw new CommandError(
        'usage',
        `The command was not recorded, because other devices could not store it. ${checked.text}`,
        { advice: `Give a smaller value to ${originOf(checked.reason)}.` },
      );
    const { entry } = checked;
    const { database, store } = openHistory(config);
    try {
      store.insert([entry]);
    } finally {
      database.close();
    }
    if (options['print-id'] === true) await screen.out(entry.entry_id);
    return 'ok';
  },
};

export const entries: Command = {
  name: 'entries',
  usage: 'entries [--ids] [--json] [--limit N]',
  summary: 'print the entries of this database',
  help: `Prints all entries in the order in which they were stored, one per line: time,
device and command, with --ids after the id of the entry, or with --json every
field.

  ${PROGRAM.name} entries --limit 20
  ${PROGRAM.name} entries --json | jq -r .cmd`,
  options: {
    ids: { doc: 'print the id of each entry first, as delete expects it' },
    limit: { value: 'N', doc: 'print only the last N entries' },
    json: JSON_OPTION,
  },
  maxPositionals: 0,
  async run({ config, options, screen, signal }) {
    const limit = numberOption(options, 'limit', [1, Number.MAX_SAFE_INTEGER], undefined);
    const { database, store } = openHistory(config);
    try {
      let seq = limit === undefined ? 0 : store.startOfLast(limit);
      let invalid = 0;
      for (let before = -1; seq !== before;) {
        signal.throwIfAborted();
        before = seq;
        const page: Entry[] = [];
        let length = 0;
        store.readAfter(
          seq,
          BATCH_ENTRIES,
          ({ seq: entrySeq, entry }) => {
            seq = entrySeq;
            page.push(entry);
            length += entry.cmd.length + entry.cwd.length;
            return length < MAX_BATCH_LENGTH;
          },
          (unsendable) => {
            seq = unsendable.seq;
            invalid += 1;
          },
        );
        if (page.length === 0) continue;
        if (options['json'] === true) await screen.json(...page);
        else await screen.out(page.map((entry) => formatEntry(entry, options['ids'] === true)));
      }
      if (invalid > 0)
        screen.note(
          `${formatAmount(invalid, 'entry is', 'entries are')} not valid and not shown; "${PROGRAM.name} doctor" says why.`,
        );
      return 'ok';
    } finally {
      database.close();
    }
  },
};

/** One entry as text: its id if requested, its time, its device and its command. */
export function formatEntry({ entry_id: id, ts, device_id: device, cmd }: Entry, hasId: boolean): string {
  const time = new Date(ts * 1000).toISOString().slice(0, 19).replace('T', ' ');
  return `${hasId ? `${id}  ` : ''}${time}  ${device}  ${cmd}`;
}

/** The records that any device can store. Counts the others, with the reason of the first one. */
function* validRecords(
  records: Iterable<ImportRecord>,
  invalid: { count: number; text: string },
): Generator<ImportRecord> {
  for (const each of records) {
    const checked = checkEntry(each.entry);
    if (checked.ok) yield each;
    else if (invalid.count++ === 0) invalid.text = checked.text;
  }
}

/** The option that sets a field of a recorded entry. */
function originOf(field: InvalidField): string {
  return field === 'entry' ? '--cmd or --cwd' : `--${field.replace('_', '-')}`;
}

function readShell(options: OptionValues, path: string | undefined): Shell {
  const named = textOption(options, 'shell');
  const shell = named === undefined ? guessShell(path ?? '') : SHELLS.find((one) => one === named);
  if (shell !== undefined) return shell;
  throw new CommandError('usage', shellProblem(named, path), {
    advice: `Add --shell with one of ${SHELLS.join(', ')}.`,
  });
}

function shellProblem(named: string | undefined, path: string | undefined): string {
  if (named !== undefined) return `--shell: ${quote(named)} is not a known shell.`;
  return path === undefined
    ? 'Neither --shell nor the path of a history file is given.'
    : `${path}: the shell cannot be determined from the name of the file.`;
}

function readHistoryFile(path: string): Buffer {
  try {
    const { size } = statSync(path);
    if (size <= MAX_HISTORY_BYTES) return readFileSync(path);
    throw new Error(`The file has ${formatBytes(size)}; the maximum is ${formatBytes(MAX_HISTORY_BYTES)}.`);
  } catch (error) {
    throw new CommandError('failure', `${path}: cannot be read: ${describeError(error)}.`, { cause: error });
  }
}

function* inBatches<T>(items: Iterable<T>): Generator<T[]> {
  let batch: T[] = [];
  for (const item of items) {
    batch.push(item);
    if (batch.length < BATCH_ENTRIES) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
