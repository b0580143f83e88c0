// The two ids of each imported record: the id under which it is stored, which is that of `rr`, and the id by its
// repetition, with which it is found again when the file has lost its first lines.
import type { Database } from './database.ts';
import type { Deletions } from './deletions.ts';
import type { Entry } from './entry.ts';

/** A record of a history file. */
export interface ImportRecord {
  /** The entry with the id that `rr` derives; it contains the position of the record in the file. */
  readonly entry: Entry;
  /** The id by repetition, under which earlier versions of this peer stored the record. */
  readonly repetitionId: string;
}

export interface ImportIds {
  /** The entry to store; `undefined` when the record is stored or deleted. To be called in a transaction. */
  resolve(record: ImportRecord): Entry | undefined;
}

export function createImportIds({ sqlite, read }: Database, deletions: Deletions): ImportIds {
  const statements = read(() => ({
    stored: sqlite.prepare('SELECT entry_id FROM rustory_p2p_import_ids WHERE repetition_id = ?'),
    isTaken: sqlite.prepare('SELECT 1 FROM rustory_p2p_import_ids WHERE entry_id = ?'),
    link: sqlite.prepare('INSERT INTO rustory_p2p_import_ids(repetition_id, entry_id) VALUES (?, ?)'),
    hasEntry: sqlite.prepare('SELECT 1 FROM entries WHERE entry_id IN (?, ?)'),
  }));

  /** The id of the record in this database. */
  function idOf({ entry, repetitionId }: ImportRecord): string {
    const known = statements.stored.get(repetitionId)?.['entry_id'];
    if (known !== undefined) return String(known);
    // The id belongs to another record, which had this position before the file lost lines.
    if (statements.isTaken.get(entry.entry_id) !== undefined) return repetitionId;
    statements.link.run(repetitionId, entry.entry_id);
    return entry.entry_id;
  }

  return {
    resolve(record) {
      const { entry, repetitionId } = record;
      const id = idOf(record);
      const deletion = deletions.find(id) ?? deletions.find(repetitionId);
      if (deletion !== undefined) {
        // The deletion may have arrived before this device knew both ids of the record.
        deletions.apply([deletion]);
        return undefined;
      }
      return statements.hasEntry.get(id, repetitionId) === undefined ? { ...entry, entry_id: id } : undefined;
    },
  };
}
