// `import`, `record` and `entries`: what goes into the database of this device, and what is in it.
import { randomUUID } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { describeError } from '../../../shared/errors.ts';
import { VERSION } from '../../../shared/program.ts';
import type { Entry } from '../../history/entry.ts';
import { CommandError } from '../exit-codes.ts';
import { now, openHistory } from '../context.ts';
import { formatBytes, formatCount, printable } from '../screen.ts';
import { expandHome } from '../../config/settings.ts';
import {
  guessShell,
  HISTORY_FILES,
  MAX_HISTORY_BYTES,
  parseHistory,
  type Shell,
  SHELLS,
  toEntries,
} from '../../history/shell-history.ts';
import { type Command, JSON_OPTION, type OptionValues, readNumber, readText } from './command.ts';

/** Entries stored in one transaction, and read in one go. */
const BATCH = 5_000;

const MAX_I32 = 2 ** 31 - 1;

export const importHistory: Command = {
  name: 'import',
  usage: 'import [--shell bash|zsh|fish] [FILE]',
  summary: 'take over the history file of a shell',
  help: `Reads the whole file, with the times that bash (HISTTIMEFORMAT), zsh
(EXTENDED_HISTORY) and fish write. Importing the same file again adds only what
is new in it. The file is only read. Without FILE it is the one where the shell
keeps its history.

  rustory-peer import --shell zsh
  rustory-peer import ~/.bash_history
  rustory-peer import --shell zsh old/history.txt`,
  options: {
    shell: { value: 'SHELL', doc: `which shell wrote it: ${SHELLS.join(', ')} (default: by its name)` },
    json: JSON_OPTION,
  },
  maxPositionals: 1,
  async run({ config, options, positionals, screen, signal }) {
    const shell = readShell(options, positionals[0]);
    const path = positionals[0] ?? expandHome(HISTORY_FILES[shell], config.home);
    const commands = parseHistory(shell, readHistoryFile(path));
    const { recordIgnoreRegex: ignored, userId, deviceId } = config.settings;
    const wanted =
      ignored === undefined ? commands : commands.filter(({ command }) => !ignored.test(command));
    const from = { shell, userId, deviceId, hostname: hostname(), version: VERSION, now: now() };
    const { database, store } = openHistory(config);
    try {
      let imported = 0;
      let seen = 0;
      for (const batch of inBatches(toEntries(wanted, from))) {
        signal.throwIfAborted();
        imported += store.insert(batch).inserted;
        seen += batch.length;
        screen.progress(`${formatCount(seen)} of ${formatCount(wanted.length)} commands`);
      }
      screen.endProgress();
      const skipped = commands.length - imported;
      await screen.out(
        options['json'] === true
          ? JSON.stringify({ shell, commands: commands.length, imported, skipped })
          : `imported ${formatCount(imported)} commands, skipped ${formatCount(skipped)} (known already or ignored)`,
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
  help: `Adds one entry with the current time. Commands that match record_ignore_regex
are left out.

  rustory-peer record --cmd 'make test' --exit-code 2 --duration-ms 4100`,
  options: {
    cmd: { value: 'COMMAND', doc: 'the command line' },
    cwd: { value: 'DIR', doc: 'the directory it ran in (default: the current one)' },
    'exit-code': { value: 'N', doc: 'its exit code (default 0)' },
    'duration-ms': { value: 'N', doc: 'how long it ran, in milliseconds (default 0)' },
    shell: { value: 'SHELL', doc: 'the shell it was typed into (default sh)' },
    hostname: { value: 'NAME', doc: 'the host it ran on (default: this one)' },
    'print-id': { doc: 'print the id of the entry' },
  },
  maxPositionals: 0,
  async run({ config, options, screen }) {
    const cmd = readText(options, 'cmd')?.trim() ?? '';
    if (cmd === '') throw new CommandError('usage', 'record needs --cmd with a command that is not empty');
    const { recordIgnoreRegex, userId, deviceId } = config.settings;
    if (recordIgnoreRegex?.test(cmd) === true) return 'ok';
    const entry: Entry = {
      entry_id: randomUUID(),
      device_id: deviceId,
      user_id: userId,
      ts: now(),
      cmd,
      cwd: readText(options, 'cwd') ?? process.cwd(),
      exit_code: readNumber(options, 'exit-code', [-MAX_I32 - 1, MAX_I32], 0),
      duration_ms: readNumber(options, 'duration-ms', [0, Number.MAX_SAFE_INTEGER], 0),
      shell: readText(options, 'shell') ?? 'sh',
      hostname: readText(options, 'hostname') ?? hostname(),
      version: VERSION,
    };
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
  usage: 'entries [--json] [--limit N]',
  summary: 'print the history in this database',
  help: `Prints all entries in the order in which they arrived here, one a line: with
--json as the database has them, otherwise time, device and command.

  rustory-peer entries --limit 20
  rustory-peer entries --json | jq -r .cmd`,
  options: { limit: { value: 'N', doc: 'print only the last N that arrived' }, json: JSON_OPTION },
  maxPositionals: 0,
  async run({ config, options, screen, signal }) {
    const limit = readNumber(options, 'limit', [1, Number.MAX_SAFE_INTEGER], undefined);
    const { database, store } = openHistory(config);
    try {
      let seq = limit === undefined ? 0 : store.startOfLast(limit);
      for (let page: string[] = []; ; page = []) {
        signal.throwIfAborted();
        store.readAfter(seq, BATCH, ({ seq: at, entry }) => {
          seq = at;
          return page.push(options['json'] === true ? JSON.stringify(entry) : formatEntry(entry)) > 0;
        });
        if (page.length === 0) return 'ok';
        await screen.out(page.join('\n'));
      }
    } finally {
      database.close();
    }
  },
};

function formatEntry({ ts, device_id: device, cmd }: Entry): string {
  const time = new Date(ts * 1000).toISOString().slice(0, 19).replace('T', ' ');
  return printable(`${time}  ${device}  ${cmd.replaceAll('\n', '\n    ')}`);
}

function readShell(options: OptionValues, path: string | undefined): Shell {
  const named = readText(options, 'shell');
  const shell = named === undefined ? guessShell(path ?? '') : SHELLS.find((one) => one === named);
  if (shell !== undefined) return shell;
  const missing =
    path === undefined
      ? 'import needs --shell or the path of a history file'
      : `${path} does not tell which shell wrote it`;
  throw new CommandError('usage', named === undefined ? missing : `--shell ${named} is not known`, {
    advice: `add --shell with one of ${SHELLS.join(', ')}`,
  });
}

function readHistoryFile(path: string): Buffer {
  try {
    const { size } = statSync(path);
    if (size > MAX_HISTORY_BYTES)
      throw new Error(
        `it has ${formatBytes(size)}, and at most ${formatBytes(MAX_HISTORY_BYTES)} can be read at once`,
      );
    return readFileSync(path);
  } catch (error) {
    throw new CommandError('failure', `cannot read ${path}: ${describeError(error)}`);
  }
}

function* inBatches<T>(items: Iterable<T>): Generator<T[]> {
  let batch: T[] = [];
  for (const item of items) {
    batch.push(item);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
