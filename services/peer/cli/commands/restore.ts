// `restore`: puts a backup in the place of the database.
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { addAbortSignal } from 'node:stream';
import { PROGRAM } from '../../config/config.ts';
import { readBackupFile } from '../../history/backup-content.ts';
import { restoreDatabase, type RestoreReport } from '../../history/restore.ts';
import { CommandError } from '../exit-codes.ts';
import { formatBytes, type Screen } from '../screen.ts';
import { describeContent } from './backup.ts';
import { type Command, JSON_OPTION } from './command.ts';

/** The argument that stands for standard input. */
const STANDARD_INPUT = '-';

export const restore: Command = {
  name: 'restore',
  usage: 'restore FILE',
  summary: 'put a backup in the place of the database',
  help: `Replaces the database by a copy of FILE, or of standard input if FILE is -. The
copy is checked first. If the command fails or is killed, the database is still
the old one. The old database stays beside the new one, as FILE.replaced-TIME,
until you delete it; its disk needs space for both.

A hub: the restored database has a new id, and with it the hub a new peer id,
under which every device pushes and pulls everything once more. What it stored
after the backup comes back in this way. A hub that is running ends within
seconds with exit code 5, to be started again by its supervisor.

Another device: stop rustory-peer and rr first. Its identity stays. New entries
get higher numbers than any before, so that other devices miss nothing. What it
recorded after the backup comes back from the devices that have it, with the
next sync; what no other device has is only in the old database.

  ${PROGRAM.name} restore /backup/history-2026-11-28.db
  gunzip -c history.db.gz | ${PROGRAM.name} restore -
  kubectl exec -i POD -- node /app/peer.js restore - < history.db`,
  options: { json: JSON_OPTION },
  maxPositionals: 1,
  async run({ config, options, positionals, screen, signal }) {
    const [file] = positionals;
    if (file === undefined || file === '')
      throw new CommandError('usage', 'The file is missing.', {
        advice: `Give a backup, or - for standard input; see ${PROGRAM.name} restore --help.`,
      });
    const { databasePath: path } = config;
    const isInput = file === STANDARD_INPUT;
    const report = await restoreDatabase(
      path,
      isInput ? readInput(signal) : readBackupFile(resolve(file), path),
      {
        name: isInput ? 'standard input' : resolve(file),
        nowUnixMs: Date.now,
        signal,
        onProgress: (bytes) => screen.progress(`copying: ${formatBytes(bytes)}`),
      },
    );
    screen.endProgress();
    const { kept, ...counts } = report;
    if (options['json'] === true) await screen.json({ path, ...counts, replaced: kept ?? null });
    else await show(path, report, screen);
    return 'ok';
  },
};

function readInput(signal: AbortSignal): AsyncIterable<Uint8Array> {
  if (process.stdin.isTTY)
    throw new CommandError('usage', 'Standard input is a terminal.', {
      advice: 'Redirect a backup to standard input, or give its file.',
    });
  // A program that writes nothing and does not end would keep the signal from being noticed.
  return addAbortSignal(signal, process.stdin);
}

async function show(path: string, report: RestoreReport, screen: Screen): Promise<void> {
  const { kept } = report;
  await screen.out(`${path}: restored ${describeContent(report)}`);
  if (kept === undefined) return;
  const size = statSync(kept, { throwIfNoEntry: false })?.size ?? 0;
  screen.note(
    `The old database (${formatBytes(size)}) is ${kept}. Delete it when you do not need it any more.`,
  );
  screen.note('A hub that is running ends within seconds with exit code 5 and has to be started again.');
}
