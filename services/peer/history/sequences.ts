// The numbers of entries and deletions in this database (`ingest_seq` and `delete_seq`). Other devices remember the number
// up to which they have pulled, under the peer id of this device, and `rr` never moves it back. A database that is new, was
// restored from an older copy, or lost its last transactions would assign the same numbers once more, and what they
// belong to would never be pulled. So the counters of SQLite are raised to the time in microseconds, which is above every
// number that was assigned before: a database stores far fewer rows than a million per second.
import type { DatabaseSync } from 'node:sqlite';
import type { Database } from './database.ts';
import type { Cursors } from './peer-cursors.ts';

const TABLES = { entries: 'ingest_seq', entry_deletions: 'delete_seq' } as const;

/** The table of the highest number that was really stored, because the counters are raised, and rows are deleted. */
const STORED = 'rustory_p2p_stored_seqs';

/**
 * Raises the counters to the time, and remembers what was stored before. Never lowers them. To be called in a
 * transaction. A clock beyond the year 2255 changes nothing, because larger integers are not exact in JavaScript.
 */
export function raiseSequences(sqlite: DatabaseSync, unixMs: number): void {
  noteStored(sqlite);
  const micros = Math.floor(unixMs * 1_000);
  if (!Number.isSafeInteger(micros)) return;
  for (const table of Object.keys(TABLES)) {
    const raised = sqlite
      .prepare('UPDATE sqlite_sequence SET seq = max(coalesce(seq, 0), ?1) WHERE name = ?2')
      .run(micros, table);
    // The row is missing until the first row of the table is inserted. SQLite does not prevent a second one.
    if (Number(raised.changes) === 0)
      sqlite.prepare('INSERT INTO sqlite_sequence(name, seq) VALUES (?2, ?1)').run(micros, table);
  }
}

/** Remembers the numbers of a database that was written before this table existed, when no counter was raised. */
export function noteCounters(sqlite: DatabaseSync): void {
  sqlite.exec(`INSERT INTO ${STORED}(name, seq)
    SELECT name, max(seq) FROM sqlite_sequence WHERE name IN ('entries', 'entry_deletions') GROUP BY name
    ON CONFLICT(name) DO UPDATE SET seq = max(seq, excluded.seq)`);
}

function noteStored(sqlite: DatabaseSync): void {
  for (const sql of NOTE_SQL) sqlite.exec(sql);
}

const NOTE_SQL = Object.entries(TABLES).map(
  ([table, column]) => `INSERT INTO ${STORED}(name, seq) SELECT '${table}', max(${column}) FROM ${table}
    WHERE true HAVING max(${column}) IS NOT NULL
    ON CONFLICT(name) DO UPDATE SET seq = excluded.seq WHERE excluded.seq > seq`,
);

const highestSql = (table: keyof typeof TABLES): string =>
  `max(coalesce((SELECT seq FROM ${STORED} WHERE name = '${table}'), 0),
    coalesce((SELECT max(${TABLES[table]}) FROM ${table}), 0))`;

export interface Sequences {
  /** The highest `ingest_seq` and `delete_seq` of rows that were really stored, also of rows that no longer exist. */
  highestStored(): Cursors;
  /** Remembers the highest numbers. To be called in a transaction, before rows are removed and after some were added. */
  note(): void;
  /** Raises the counters to the current time. For a process that lets other devices pull. */
  raise(): void;
}

export function createSequences({ sqlite, read, write, nowUnixMs }: Database): Sequences {
  const statements = read(() => ({
    highest: sqlite.prepare(
      `SELECT ${highestSql('entries')} AS cursor, ${highestSql('entry_deletions')} AS deleteCursor`,
    ),
    note: NOTE_SQL.map((sql) => sqlite.prepare(sql)),
  }));
  return {
    highestStored: () => read(() => statements.highest.get() as unknown as Cursors),
    note() {
      for (const statement of statements.note) statement.run();
    },
    raise: () => write(() => raiseSequences(sqlite, nowUnixMs())),
  };
}
