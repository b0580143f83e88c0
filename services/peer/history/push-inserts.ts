// Stores what devices push. A push that is acknowledged is never sent again, so what an acknowledgement covers must be on
// the disk: also rows that another process stored, which may not have waited for the disk.
import type { Result } from '../../shared/result.ts';
import type { Database } from './database.ts';
import type { Deletion } from './deletion.ts';
import type { DeletionCounts, Deletions } from './deletions.ts';
import type { Entry } from './entry.ts';
import { createEntryInserts } from './entry-inserts.ts';
import type { Sequences } from './sequences.ts';

/** The inserts of one transaction. */
export interface PushInserts {
  /** Returns whether the entry is new. */
  insertEntry(entry: Entry): boolean;
  insertDeletion(deletion: Deletion): DeletionCounts;
}

export interface PushInsertDeps {
  readonly deletions: Deletions;
  readonly sequences: Sequences;
  /** Called after the transaction, with the number of entries that it removed. */
  readonly emptyLogAfter: (deleted: number) => void;
}

const COUNT_SQL = `INSERT INTO rustory_p2p_stored_seqs(name, seq) VALUES ('pushes', 1)
  ON CONFLICT(name) DO UPDATE SET seq = seq + 1`;

export function createPushInserts(
  database: Database,
  { deletions, sequences, emptyLogAfter }: PushInsertDeps,
): (work: (inserts: PushInserts) => void) => Result<object, 'locked'> {
  const entries = createEntryInserts(database);
  // Counts, so that the commit writes something and waits for the disk, up to the last transaction of any process. SQLite
  // does not write a row whose content is the same.
  const count = database.read(() => database.sqlite.prepare(COUNT_SQL));

  return (work) => {
    let [isChanged, isNoted, deleted] = [false, false, 0];
    let onCommitted: (() => void) | undefined;
    const result = database.writeNow(() => {
      onCommitted = deletions.completeInTransaction();
      work({
        insertEntry(entry) {
          const isNew = entries.insert(entry);
          isChanged ||= isNew;
          return isNew;
        },
        insertDeletion(deletion) {
          // Deletions may remove the rows with the highest numbers.
          if (!isNoted) sequences.note();
          isNoted = true;
          const counts = deletions.apply([deletion]);
          isChanged ||= counts.newDeletions > 0;
          deleted += counts.deleted;
          return counts;
        },
      });
      sequences.note();
      if (!isChanged) count.run();
    });
    if (!result.ok) return result;
    onCommitted?.();
    emptyLogAfter(deleted);
    return { ok: true };
  };
}
