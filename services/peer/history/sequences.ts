// The numbers of entries and deletions in this database (`ingest_seq` and `delete_seq`). Other devices remember the number
// up to which they have pulled, under the peer id of this device, and `rr` never moves it back. A database that is new, was
// restored from an older copy, or lost its last transactions would assign the same numbers once more, and what they
// belong to would never be pulled. So the counters of SQLite are raised to the time in microseconds, which is above every
// number that was assigned before: a database stores far fewer rows than a million per second. The clock of a machine
// without a battery is behind after a power failure, so each time they are raised by more than a database can lose.
import type { DatabaseSync } from 'node:sqlite';
import type { Database } from './database.ts';
import { type Cursors, PUSH_TABLES, type SomeCursors } from './peer-cursors.ts';
import { createUnusedSeqs, noteUnused } from './unused-seqs.ts';

const TABLES = { entries: 'ingest_seq', entry_deletions: 'delete_seq' } as const;

/** The table of the highest number that was really stored, because the counters are raised, and rows are deleted. */
const STORED = 'rustory_p2p_stored_seqs';

/** More rows than a power failure can undo: those of transactions that were not yet written to the disk. */
const LOST_ROWS = 1_000_000;

/**
 * Maximum number that may be assigned: a trillion less than the integers that are exact in JavaScript, so that those of the
 * next rows are exact, too. Another program may set a counter or insert a row above it.
 */
const MAX_SEQ = Number.MAX_SAFE_INTEGER - 2 ** 40;

const TOO_LARGE_SQL = [
  `SELECT 1 FROM sqlite_sequence WHERE name IN ('entries', 'entry_deletions') AND seq > ${MAX_SEQ}`,
  ...[...Object.entries(TABLES), ...PUSH_TABLES].map(
    ([table, column]) => `SELECT 1 FROM ${table} WHERE ${column} > ${MAX_SEQ}`,
  ),
].join(' UNION ALL ');

/** The time as a number of this database; `undefined` when it is too large. */
function microsOf(unixMs: number): number | undefined {
  const micros = Math.floor(unixMs * 1_000);
  return Number.isSafeInteger(micros) && micros <= MAX_SEQ ? micros : undefined;
}

/** Whether a number of this database is so large that this peer could not read it. */
export function hasTooLargeNumbers(sqlite: DatabaseSync): boolean {
  return sqlite.prepare(TOO_LARGE_SQL).get() !== undefined;
}

/**
 * Gives new numbers to the rows whose numbers are too large, in the same order and above all others. To be called in a
 * transaction, before `raiseSequences`, which never lowers a counter.
 */
export function replaceTooLargeNumbers(sqlite: DatabaseSync, unixMs: number): void {
  if (!hasTooLargeNumbers(sqlite)) return;
  for (const [table, column] of Object.entries(TABLES)) {
    const start = `max(${microsOf(unixMs) ?? 0},
      coalesce((SELECT max(${column}) FROM ${table} WHERE ${column} <= ${MAX_SEQ}), 0))`;
    sqlite.exec(`
      UPDATE ${table} SET ${column} = new_seq FROM (
        SELECT ${column} AS old_seq, ${start} + row_number() OVER (ORDER BY ${column}) AS new_seq
        FROM ${table} WHERE ${column} > ${MAX_SEQ}
      ) WHERE ${column} = old_seq;
      UPDATE sqlite_sequence SET seq = ${start} WHERE name = '${table}' AND seq > ${MAX_SEQ};
      DELETE FROM ${STORED} WHERE name = '${table}' AND seq > ${MAX_SEQ};`);
  }
  // What a peer has of the new numbers is not known. It gets these rows again, and ignores those that it has.
  for (const [table, column] of PUSH_TABLES)
    sqlite.exec(`UPDATE ${table} SET ${column} = 0 WHERE ${column} > ${MAX_SEQ}`);
}

/**
 * Raises the counters to the time, and remembers what was stored before. Never lowers them. To be called in a
 * transaction. A time beyond the year 2255 is not used, because larger integers are not exact in JavaScript.
 */
export function raiseSequences(sqlite: DatabaseSync, unixMs: number): void {
  noteStored(sqlite);
  const micros = Math.max(0, microsOf(unixMs) ?? 0);
  for (const table of Object.keys(TABLES)) {
    const raised = sqlite.prepare(RAISE_SQL).run(micros, table);
    // The row is missing until the first row of the table is inserted. SQLite does not prevent a second one.
    if (Number(raised.changes) === 0)
      sqlite.prepare('INSERT INTO sqlite_sequence(name, seq) VALUES (?2, ?1)').run(micros, table);
    const { stored, counter } = sqlite.prepare(RAISED_SQL).get(table) as Record<string, number>;
    noteUnused(sqlite, table, stored ?? 0, counter ?? 0);
  }
}

const RAISED_SQL = `SELECT coalesce((SELECT seq FROM ${STORED} WHERE name = ?1), 0) AS stored,
  coalesce((SELECT min(seq) FROM sqlite_sequence WHERE name = ?1), 0) AS counter`;

const RAISE_SQL = `UPDATE sqlite_sequence SET seq = max(?1,
  CASE WHEN seq BETWEEN 1 AND ${MAX_SEQ - LOST_ROWS} THEN seq + ${LOST_ROWS} ELSE coalesce(seq, 0) END) WHERE name = ?2`;

/** Remembers the numbers of a database that was written before this table existed, when no counter was raised. */
export function noteCounters(sqlite: DatabaseSync): void {
  sqlite.exec(`INSERT INTO ${STORED}(name, seq)
    SELECT name, max(seq) FROM sqlite_sequence WHERE name IN ('entries', 'entry_deletions') AND typeof(seq) = 'integer' GROUP BY name
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
  /** Whether a row with one of these numbers cannot have been in this database: it is above all, or was skipped. */
  isNeverStored(cursors: SomeCursors): boolean;
  /** Remembers the highest numbers. To be called in a transaction, before rows are removed and after some were added. */
  note(): void;
  /**
   * Remembers the highest numbers if these are above the remembered ones. For rows that are sent: `rr` may have stored them
   * in a shared database, and may delete them before a requester returns with their numbers.
   */
  noteSent(sent: SomeCursors): void;
  /** Raises the counters to the current time. For a process that lets other devices pull. */
  raise(): void;
}

export function createSequences(database: Database): Sequences {
  const { sqlite, read, write, writeNow, nowUnixMs } = database;
  const unused = createUnusedSeqs(database);
  const statements = read(() => ({
    highest: sqlite.prepare(
      `SELECT ${highestSql('entries')} AS cursor, ${highestSql('entry_deletions')} AS deleteCursor`,
    ),
    noted: sqlite.prepare(
      `SELECT coalesce(max(seq) FILTER (WHERE name = 'entries'), 0) AS cursor,
         coalesce(max(seq) FILTER (WHERE name = 'entry_deletions'), 0) AS deleteCursor FROM ${STORED}`,
    ),
    note: NOTE_SQL.map((sql) => sqlite.prepare(sql)),
  }));
  function note(): void {
    for (const statement of statements.note) statement.run();
  }

  const highestStored = (): Cursors => read(() => statements.highest.get() as unknown as Cursors);

  return {
    highestStored,
    isNeverStored({ cursor = 0, deleteCursor = 0 }) {
      const highest = highestStored();
      return (
        cursor > highest.cursor || deleteCursor > highest.deleteCursor || unused.has({ cursor, deleteCursor })
      );
    },
    note,
    noteSent({ cursor = 0, deleteCursor = 0 }) {
      const noted = read(() => statements.noted.get() as unknown as Cursors);
      // While another process writes, the rows themselves have the numbers.
      if (cursor > noted.cursor || deleteCursor > noted.deleteCursor) writeNow(note);
    },
    raise: () => write(() => raiseSequences(sqlite, nowUnixMs())),
  };
}
