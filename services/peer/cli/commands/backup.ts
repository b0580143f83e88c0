// `backup`: a copy of the database while it is in use, in a file or on standard output.
import { createReadStream } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { toPrintableJson } from '../../../shared/printable.ts';
import { PROGRAM } from '../../config/config.ts';
import { backUpDatabase, type BackupReport, copyDatabase } from '../../history/backup.ts';
import { removeDatabase, temporaryName } from '../../history/database-files.ts';
import { CommandError, EXIT_CODES } from '../exit-codes.ts';
import { formatAmount, formatBytes } from '../screen.ts';
import { type Command, type CommandContext, JSON_OPTION, textOption } from './command.ts';

/** The argument that stands for standard output. */
const STANDARD_OUTPUT = '-';

export const backup: Command = {
  name: 'backup',
  usage: 'backup FILE [--force]',
  summary: 'copy the database while it is in use',
  help: `Writes a copy of the database to FILE, with mode 0600. Other processes, such as
a hub, go on meanwhile: the copy has what was stored when it began. FILE appears
when the copy is complete and SQLite has checked it. The disk of FILE needs
space for the whole database.

With - instead of FILE the copy is written to standard output, and the report to
standard error. It needs the same space for a temporary file, in the directory
of the database or in --temp-dir.

The keys are not in the copy: keep the swarm key and the identity, or the secret
of a hub, elsewhere. Put a copy back with "${PROGRAM.name} restore", never with cp.

  ${PROGRAM.name} backup /backup/history-$(date +%F).db
  ${PROGRAM.name} backup - | gzip > history.db.gz
  kubectl exec POD -- node /app/peer.js backup - > history.db`,
  options: {
    force: { doc: 'replace FILE if it exists' },
    'temp-dir': { value: 'DIR', doc: 'with -: the directory of the temporary file' },
    json: JSON_OPTION,
  },
  maxPositionals: 1,
  async run(context) {
    const { config, options, positionals, screen } = context;
    const [file] = positionals;
    const temporary = textOption(options, 'temp-dir');
    if (file === undefined || file === '')
      throw new CommandError('usage', 'The file is missing.', {
        advice: `Give a file, or - for standard output; see ${PROGRAM.name} backup --help.`,
      });
    if (file !== STANDARD_OUTPUT && temporary !== undefined)
      throw new CommandError('usage', '--temp-dir: The option is only for standard output.');
    if (file === STANDARD_OUTPUT) return writeToOutput(context, temporary ?? dirname(config.databasePath));
    const target = resolve(file);
    const { onProgress, signal } = optionsOf(context);
    const isForced = options['force'] === true;
    const report = await backUpDatabase(config.databasePath, target, { isForced, onProgress, signal });
    screen.endProgress();
    if (options['json'] === true) await screen.json({ path: target, ...report });
    else await screen.out(`${target}: ${describeContent(report)}`);
    return 'ok';
  },
};

async function writeToOutput(context: CommandContext, directory: string): Promise<'ok'> {
  const { config, options, screen, signal } = context;
  if (screen.isTerminal)
    throw new CommandError('usage', 'The copy is not written to a terminal.', {
      advice: 'Redirect standard output to a file, or give a file instead of -.',
    });
  // If the reader closes the pipe, what it has is not complete.
  process.exitCode = EXIT_CODES.failure.code;
  const copy = temporaryName(join(directory, basename(config.databasePath)), 'backup');
  // The process ends at once when the reader closes the pipe.
  const remove = (): void => removeDatabase(copy);
  process.on('exit', remove);
  try {
    const report = await copyDatabase(config.databasePath, copy, optionsOf(context));
    for await (const chunk of createReadStream(copy)) await screen.bytes(chunk as Uint8Array, signal);
    screen.endProgress();
    screen.note(options['json'] === true ? toPrintableJson(report) : describeContent(report));
    process.exitCode = undefined;
    return 'ok';
  } finally {
    process.off('exit', remove);
    remove();
  }
}

function optionsOf({ screen, signal }: CommandContext) {
  const onProgress = (share: number): void =>
    screen.progress(share < 1 ? `copying: ${Math.floor(share * 100)} %` : 'checking the copy');
  return { onProgress, signal };
}

/** What a copy contains. */
export function describeContent({ entries, deletions, bytes }: BackupReport): string {
  const counts = [
    formatAmount(entries, 'entry', 'entries'),
    formatAmount(deletions, 'deletion', 'deletions'),
    formatBytes(bytes),
  ];
  return counts.join(', ');
}
