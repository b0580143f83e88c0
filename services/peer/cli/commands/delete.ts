// `delete`: deletes entries here and, as they pull, on the user's other devices.
import { unixSeconds } from '../../../shared/clock.ts';
import { quote } from '../../../shared/variables.ts';
import { PROGRAM } from '../../config/config.ts';
import type { Entry } from '../../history/entry.ts';
import type { Store } from '../../history/store.ts';
import { openHistory } from '../context.ts';
import { CommandError } from '../exit-codes.ts';
import { formatAmount, type Screen } from '../screen.ts';
import { type Command, JSON_OPTION, type OptionValues } from './command.ts';
import { formatEntry } from './history.ts';

/** Maximum ids of one call; command lines of the operating system are limited to a similar length. */
const MAX_IDS = 10_000;

/** Maximum entries that a preview lists. */
const MAX_PREVIEW = 50;

export const deleteEntries: Command = {
  name: 'delete',
  usage: 'delete ENTRY_ID… | --cmd COMMAND [--yes]',
  summary: 'delete entries on all your devices',
  help: `Deletes entries by their ids, or all entries whose command is exactly COMMAND.
With --cmd it only lists the entries; add --yes to delete them. If one of the
ids is unknown, nothing is deleted.

Your other devices delete the entries too, as soon as they have pulled from this
device or from one that has. None of them stores such an entry again, neither
from an old device nor by an import. A deletion cannot be undone. Devices with
rr 0.1 do not know deletions and keep the entries. The history files of your
shells are not changed: remove the command there too.

Delete a command that contains a secret by its id, because your shell also
records the command line that you type here.

  ${PROGRAM.name} entries --ids --limit 20
  ${PROGRAM.name} delete 78debb47-2f4f-5a49-a21f-85351a9951cf
  ${PROGRAM.name} delete --cmd 'make deploy'
  ${PROGRAM.name} delete --cmd 'make deploy' --yes`,
  options: {
    cmd: { value: 'COMMAND', doc: 'delete all entries with exactly this command' },
    yes: { doc: 'delete the entries with this command instead of listing them' },
    json: JSON_OPTION,
  },
  maxPositionals: MAX_IDS,
  async run({ config, options, positionals, screen }) {
    const select = readSelection(options, positionals);
    const { database, store } = openHistory(config);
    try {
      const found = select(store);
      const isPreview = options['cmd'] !== undefined && options['yes'] !== true;
      const ids = found.map(({ entry_id: id }) => id);
      const by = { user_id: config.userId, device_id: config.deviceId, deleted_at: unixSeconds() };
      const deleted = isPreview ? 0 : store.deleteEntries(ids, by).deleted;
      if (options['json'] === true) await screen.json({ matched: ids.length, deleted, entry_ids: ids });
      else if (isPreview) await showPreview(found, screen);
      else await screen.out(`deleted ${formatAmount(deleted, 'entry', 'entries')}`);
      if (deleted > 0 && options['json'] !== true)
        screen.note(
          'Your other devices delete this too when they pull. The history files of your shells are not changed.',
        );
      return 'ok';
    } finally {
      database.close();
    }
  },
};

/** Finds the entries to delete. @throws CommandError when there is no such entry */
type Selection = (store: Store) => readonly SelectedEntry[];

/** Without a preview only the id is read, so that an entry that cannot be sent can be deleted, too. */
type SelectedEntry = Pick<Entry, 'entry_id'> & Partial<Entry>;

function readSelection(options: OptionValues, ids: readonly string[]): Selection {
  const command = options['cmd'];
  if ((typeof command === 'string') === ids.length > 0)
    throw new CommandError('usage', 'Either ids of entries or --cmd is required, but not both.', {
      advice: `See ${PROGRAM.name} delete --help.`,
    });
  if (typeof command === 'string') return (store) => findByCommand(store, command);
  if (options['yes'] === true)
    throw new CommandError(
      'usage',
      '--yes: The option is only for --cmd. Entries are deleted by id at once.',
    );
  return (store) => findByIds(store, ids);
}

function findByCommand(store: Store, command: string): Entry[] {
  const found = store.findByCommand(command);
  if (found.length > 0) return found;
  throw new CommandError('failure', `No entry has exactly the command ${quote(command)}.`, {
    advice: `List the entries with "${PROGRAM.name} entries --ids" and delete them by id.`,
  });
}

/** The entries with these ids. An id that is already deleted has no entry, and is not an error. */
function findByIds(store: Store, ids: readonly string[]): SelectedEntry[] {
  const found = new Set(ids.filter((id) => store.hasEntry(id)));
  const unknown = ids.find((id) => !found.has(id) && !store.isDeleted(id));
  if (unknown === undefined) return [...found].map((id) => ({ entry_id: id }));
  throw new CommandError('failure', `No entry has the id ${quote(unknown)}. Nothing was deleted.`, {
    advice: `"${PROGRAM.name} entries --ids" prints the ids.`,
  });
}

function isRead(entry: SelectedEntry): entry is Entry {
  return entry.cmd !== undefined;
}

async function showPreview(found: readonly SelectedEntry[], screen: Screen): Promise<void> {
  const lines = found
    .slice(0, MAX_PREVIEW)
    .flatMap((entry) => (isRead(entry) ? formatEntry(entry, true) : []));
  await screen.out(lines);
  const more = found.length - lines.length;
  if (more > 0) screen.note(`… and ${formatAmount(more, 'entry', 'entries')} more`);
  screen.note(`Nothing was deleted. Add --yes to delete ${formatAmount(found.length, 'entry', 'entries')}.`);
}
