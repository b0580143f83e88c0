// The numbers that this database skipped when its counters were raised. A peer whose cursor is one of them pulled it from
// another database: an older copy was restored, a snapshot of the disk was put back, or the last transactions were lost.
// Without them this would be visible only until the next entry is stored, whose number is above every such cursor.
import type { DatabaseSync } from 'node:sqlite';
import type { Database } from './database.ts';
import type { SomeCursors } from './peer-cursors.ts';

/** Maximum ranges that are remembered for each kind of numbers, the latest ones: one for each start after which something was stored. */
const MAX_RANGES = 64;

/** Columns that a range is known by, for entries and deletions. */
const NAMES = { cursor: 'entries', deleteCursor: 'entry_deletions' } as const;

/**
 * Remembers that no row has the numbers between two. To be called in a transaction.
 *
 * @param after the highest number of a row that was stored
 * @param until the number before that of the next row
 */
export function noteUnused(sqlite: DatabaseSync, name: string, after: number, until: number): void {
  if (until <= after) return;
  sqlite
    .prepare(
      `INSERT INTO rustory_p2p_unused_seqs(name, after_seq, until_seq) VALUES (?, ?, ?)
       ON CONFLICT(name, after_seq) DO UPDATE SET until_seq = max(until_seq, excluded.until_seq)`,
    )
    .run(name, after, until);
  sqlite
    .prepare(
      `DELETE FROM rustory_p2p_unused_seqs WHERE name = ?1 AND after_seq NOT IN
         (SELECT after_seq FROM rustory_p2p_unused_seqs WHERE name = ?1 ORDER BY after_seq DESC LIMIT ${MAX_RANGES})`,
    )
    .run(name);
}

export interface UnusedSeqs {
  /** Whether one of the numbers was skipped by this database. */
  has(cursors: SomeCursors): boolean;
}

export function createUnusedSeqs({ sqlite, read }: Database): UnusedSeqs {
  // The last number of a range is not counted: a requester that checks the first entry after the range asks from it.
  const find = read(() =>
    sqlite.prepare(
      'SELECT 1 FROM rustory_p2p_unused_seqs WHERE name = ?1 AND after_seq < ?2 AND ?2 < until_seq LIMIT 1',
    ),
  );
  return {
    has: (cursors) =>
      read(() =>
        Object.entries(NAMES).some(([key, name]) => {
          const cursor = cursors[key as keyof typeof NAMES];
          return cursor !== undefined && find.get(name, cursor) !== undefined;
        }),
      ),
  };
}
