// The deleted entries. A deletion is kept forever: it prevents that a device that still has the entry restores it.
import type { Database } from './database.ts';
import { type Deletion, readDeletion } from './deletion.ts';
import { labelSql, readText, SUSPICIOUS_DELETION_SQL } from './entry-rows.ts';

/** A deletion with its `delete_seq`: its number in this database, in the order of arrival. */
export interface StoredDeletion {
  readonly seq: number;
  readonly deletion: Deletion;
}

export interface DeletionCounts {
  /** Deletions that are new here, or later than the one that was known. */
  readonly newDeletions: number;
  readonly ignoredDeletions: number;
  /** Entries that were removed. */
  readonly deleted: number;
}

export interface Deletions {
  /** Stores deletions and removes their entries. To be called in a transaction. */
  apply(deletions: readonly Deletion[]): DeletionCounts;
  /** Applies the deletions that `rr` made in this database to the other ids of their records, which it does not know. */
  complete(): void;
  /** The same in a transaction. Returns a function to be called after its commit. */
  completeInTransaction(): () => void;
  /** The deletion of an entry. */
  find(entryId: string): Deletion | undefined;
  readAfter(seq: number, limit: number, visit: (stored: StoredDeletion) => boolean): void;
  /** The `delete_seq` of each deletion that cannot be sent, because it has no valid id. */
  unsendable(): number[];
}

// `rr` stores any 64-bit time that a peer sends. Larger numbers than these are not exact in JavaScript.
const DELETED_AT = `max(-${Number.MAX_SAFE_INTEGER}, min(${Number.MAX_SAFE_INTEGER}, deleted_at)) AS deleted_at`;

const LABELS = ['entry_id', 'user_id', 'device_id'] as const;
/** The columns of a deletion that is sent, for `readDeletionRow`. */
export const DELETION_COLUMNS_SQL = ['delete_seq', ...LABELS.map(labelSql), DELETED_AT].join(', ');

/** Deletions of one id of a record whose other id is not deleted. */
function incompleteSql(one: string, other: string): string {
  return `SELECT known.entry_id, user_id, device_id, ${DELETED_AT}
    FROM entry_deletions AS known JOIN rustory_p2p_import_ids AS ids ON ids.${one} = known.entry_id
    WHERE delete_seq > ?1 AND NOT EXISTS (SELECT 1 FROM entry_deletions WHERE entry_id = ids.${other})`;
}

export function createDeletions({ sqlite, read, write }: Database): Deletions {
  const statements = read(() => ({
    find: sqlite.prepare(
      `SELECT entry_id, user_id, device_id, ${DELETED_AT} FROM entry_deletions WHERE entry_id = ?`,
    ),
    otherIds: sqlite.prepare(
      `SELECT entry_id AS id FROM rustory_p2p_import_ids WHERE repetition_id = ?1
       UNION SELECT repetition_id FROM rustory_p2p_import_ids WHERE entry_id = ?1`,
    ),
    forget: sqlite.prepare('DELETE FROM entry_deletions WHERE entry_id = ?'),
    insert: sqlite.prepare(
      'INSERT INTO entry_deletions(entry_id, user_id, device_id, deleted_at) VALUES (?, ?, ?, ?)',
    ),
    removeEntry: sqlite.prepare('DELETE FROM entries WHERE entry_id = ?'),
    highest: sqlite.prepare('SELECT coalesce(max(delete_seq), 0) AS seq FROM entry_deletions'),
    incomplete: sqlite.prepare(
      [incompleteSql('repetition_id', 'entry_id'), incompleteSql('entry_id', 'repetition_id')].join(
        ' UNION ALL ',
      ),
    ),
    page: sqlite.prepare(
      `SELECT ${DELETION_COLUMNS_SQL} FROM entry_deletions WHERE delete_seq > ? ORDER BY delete_seq LIMIT ?`,
    ),
    suspicious: sqlite.prepare(
      `SELECT ${DELETION_COLUMNS_SQL} FROM entry_deletions WHERE ${SUSPICIOUS_DELETION_SQL} ORDER BY delete_seq`,
    ),
  }));

  const find = (entryId: string): Deletion | undefined =>
    statements.find.get(entryId) as unknown as Deletion | undefined;

  /** Returns whether the deletion is new. */
  function store({ entry_id: id, user_id: userId, device_id: deviceId, deleted_at: deletedAt }: Deletion) {
    const known = find(id);
    if (known !== undefined && known.deleted_at >= deletedAt) return false;
    // A new row, not an update: its higher `delete_seq` sends the later deletion also to peers that have the earlier one.
    // Only a strictly later time does this, so that two peers do not send each other the same deletion for ever.
    if (known !== undefined) statements.forget.run(id);
    statements.insert.run(id, userId, deviceId, deletedAt);
    return true;
  }

  /** Deletions up to this `delete_seq` are complete. */
  let completeSeq = 0;

  function apply(deletions: readonly Deletion[]): DeletionCounts {
    let [newDeletions, deleted] = [0, 0];
    for (const deletion of deletions) {
      // The other id of an imported record gets a deletion of its own, for devices that know only that id.
      const others = statements.otherIds.all(deletion.entry_id).map((row) => String(row['id']));
      for (const id of [deletion.entry_id, ...others]) {
        const isNew = store({ ...deletion, entry_id: id });
        if (isNew && id === deletion.entry_id) newDeletions += 1;
        deleted += Number(statements.removeEntry.run(id).changes);
      }
    }
    return { newDeletions, ignoredDeletions: deletions.length - newDeletions, deleted };
  }

  function complete(applyAll: (incomplete: readonly Deletion[]) => void): () => void {
    const highest = read(() => Number(statements.highest.get()?.['seq']));
    if (highest <= completeSeq) return () => {};
    const incomplete = read(() => statements.incomplete.all(completeSeq)) as unknown as Deletion[];
    if (incomplete.length > 0) applyAll(incomplete);
    return () => void (completeSeq = highest);
  }

  return {
    apply,
    complete: () => complete((incomplete) => write(() => apply(incomplete)))(),
    completeInTransaction: () => complete(apply),
    find: (entryId) => read(() => find(entryId)),
    readAfter: (seq, limit, visit) =>
      read(() => {
        for (const row of statements.page.iterate(seq, limit)) if (!visit(readDeletionRow(row))) break;
      }),
    unsendable: () =>
      read(() =>
        statements.suspicious
          .all()
          .map(readDeletionRow)
          .filter(({ deletion }) => readDeletion(deletion) === undefined)
          .map(({ seq }) => seq),
      ),
  };
}

/** A row as a deletion, which may be one that is not valid. */
export function readDeletionRow({
  delete_seq: seq,
  ...row
}: Readonly<Record<string, unknown>>): StoredDeletion {
  const labels = Object.fromEntries(LABELS.map((label) => [label, readText(row[label])]));
  return { seq: Number(seq), deletion: { ...row, ...labels } as unknown as Deletion };
}
