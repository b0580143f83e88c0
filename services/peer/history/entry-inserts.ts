// Inserts entries. An entry whose id is stored or deleted is ignored.
import type { Database } from './database.ts';
import type { Entry } from './entry.ts';
import { ENTRY_COLUMNS } from './entry-rows.ts';

// Only a duplicate id is ignored. `INSERT OR IGNORE` would ignore every other violated constraint too.
const INSERT_SQL = `INSERT INTO entries (${ENTRY_COLUMNS.join(', ')})
  SELECT ${ENTRY_COLUMNS.map((_, position) => `?${position + 1}`).join(', ')}
  WHERE NOT EXISTS (SELECT 1 FROM entry_deletions WHERE entry_id = ?${ENTRY_COLUMNS.indexOf('entry_id') + 1})
  ON CONFLICT(entry_id) DO NOTHING`;

export interface InsertCounts {
  readonly inserted: number;
  /** Entries whose id is already stored, or deleted. */
  readonly duplicates: number;
}

/** To be called in a transaction. */
export interface EntryInserts {
  insertAll(entries: readonly Entry[]): InsertCounts;
  /** Returns whether the entry is new. */
  insert(entry: Entry): boolean;
}

export function createEntryInserts({ sqlite, read }: Database): EntryInserts {
  const statement = read(() => sqlite.prepare(INSERT_SQL));
  const insert = (entry: Entry): boolean =>
    Number(statement.run(...ENTRY_COLUMNS.map((column) => entry[column])).changes) > 0;

  return {
    insert,
    insertAll(entries) {
      let inserted = 0;
      for (const entry of entries) if (insert(entry)) inserted += 1;
      return { inserted, duplicates: entries.length - inserted };
    },
  };
}
