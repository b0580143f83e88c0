// `record` and `entries`: write to the database of this device and read from it.
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { unixSeconds } from '../../../shared/clock.ts';
import { VERSION } from '../../../shared/program.ts';
import { PROGRAM } from '../../config/config.ts';
import type { Entry } from '../../history/entry.ts';
import { checkEntry, type InvalidField } from '../../history/entry-rules.ts';
import { openHistory } from '../context.ts';
import { CommandError } from '../exit-codes.ts';
import { formatAmount } from '../screen.ts';
import { type Command, JSON_OPTION, numberOption, textOption } from './command.ts';

/** Entries per read. */
const BATCH_ENTRIES = 5_000;

/** Maximum length of the commands and directories of one read, in characters. A single entry may be longer. */
const MAX_BATCH_LENGTH = 8 * 1024 * 1024;

/** Exit codes are stored as 32-bit integers. */
const MAX_INT32 = 2 ** 31 - 1;

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
  const time = new Date(ts * 1000).toISOString().replace('.000Z', '').replace('T', ' ');
  return `${hasId ? `${id}  ` : ''}${time}  ${device}  ${cmd}`;
}

/** The option that sets a field of a recorded entry. */
function originOf(field: InvalidField): string {
  return field === 'entry' ? '--cmd or --cwd' : `--${field.replace('_', '-')}`;
}
