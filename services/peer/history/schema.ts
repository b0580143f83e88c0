// The tables of the database: those of `rr` 1.x, and those that only this peer uses, which `rr` ignores. Statements name
// all columns, because their order differs between files: `rr` added some to existing tables.
import type { DatabaseSync } from 'node:sqlite';
import { ENTRY_COLUMNS } from './entry-rows.ts';
import { hasTooLargeNumbers, noteCounters, raiseSequences, replaceTooLargeNumbers } from './sequences.ts';

interface Table {
  /** The columns that the statements of this peer use. */
  readonly uses: readonly string[];
  readonly sql: string;
}

const TABLES: Readonly<Record<string, Table>> = {
  entries: {
    uses: ['ingest_seq', ...ENTRY_COLUMNS],
    sql: `
CREATE TABLE IF NOT EXISTS entries (
  ingest_seq INTEGER PRIMARY KEY AUTOINCREMENT,
  entry_id TEXT NOT NULL UNIQUE,
  device_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  ts INTEGER NOT NULL,
  cmd TEXT NOT NULL,
  cwd TEXT NOT NULL,
  exit_code INTEGER NOT NULL,
  duration_ms INTEGER NOT NULL,
  shell TEXT NOT NULL,
  hostname TEXT NOT NULL,
  version TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS idx_entries_ts ON entries(ts);
CREATE INDEX IF NOT EXISTS idx_entries_device_id ON entries(device_id);`,
  },
  entry_deletions: {
    uses: ['delete_seq', 'entry_id', 'user_id', 'device_id', 'deleted_at'],
    sql: `
CREATE TABLE IF NOT EXISTS entry_deletions (
  delete_seq INTEGER PRIMARY KEY AUTOINCREMENT,
  entry_id TEXT NOT NULL UNIQUE,
  user_id TEXT NOT NULL,
  device_id TEXT NOT NULL,
  deleted_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS idx_entry_deletions_device_seq ON entry_deletions(device_id, delete_seq);`,
  },
  peer_state: {
    uses: ['peer_id', 'last_cursor'],
    sql: 'CREATE TABLE IF NOT EXISTS peer_state (peer_id TEXT PRIMARY KEY, last_cursor INTEGER NOT NULL);',
  },
  peer_delete_state: {
    uses: ['peer_id', 'last_delete_cursor'],
    sql: `
CREATE TABLE IF NOT EXISTS peer_delete_state (peer_id TEXT PRIMARY KEY, last_delete_cursor INTEGER NOT NULL);`,
  },
  peer_push_state: {
    uses: ['peer_id', 'last_pushed_seq'],
    sql: `
CREATE TABLE IF NOT EXISTS peer_push_state (peer_id TEXT PRIMARY KEY, last_pushed_seq INTEGER NOT NULL);`,
  },
  peer_delete_push_state: {
    uses: ['peer_id', 'last_pushed_delete_seq'],
    sql: `
CREATE TABLE IF NOT EXISTS peer_delete_push_state (
  peer_id TEXT PRIMARY KEY,
  last_pushed_delete_seq INTEGER NOT NULL
);`,
  },
  peer_revocations: {
    uses: ['peer_id'],
    sql: `
CREATE TABLE IF NOT EXISTS peer_revocations (
  peer_id TEXT PRIMARY KEY,
  device_id TEXT,
  user_id TEXT,
  revoked_at INTEGER,
  ticket_id TEXT
);`,
  },
  peer_book: {
    uses: ['peer_id', 'addrs_json', 'user_id', 'device_id', 'last_seen'],
    sql: `
CREATE TABLE IF NOT EXISTS peer_book (
  peer_id TEXT PRIMARY KEY,
  addrs_json TEXT NOT NULL,
  user_id TEXT,
  device_id TEXT,
  rr_version TEXT,
  last_seen INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS idx_peer_book_last_seen ON peer_book(last_seen);`,
  },
  // The state of a pull between two rounds.
  rustory_p2p_pull_state: {
    uses: ['peer_id', 'state_json'],
    sql: `
CREATE TABLE IF NOT EXISTS rustory_p2p_pull_state (peer_id TEXT PRIMARY KEY, state_json TEXT NOT NULL);`,
  },
  // The last entry of each peer that was pulled, see sync/pull-position.ts.
  rustory_p2p_pull_anchors: {
    uses: ['peer_id', 'cursor', 'entry_id'],
    sql: `
CREATE TABLE IF NOT EXISTS rustory_p2p_pull_anchors (
  peer_id TEXT PRIMARY KEY,
  cursor INTEGER NOT NULL,
  entry_id TEXT NOT NULL
);`,
  },
  // The highest numbers that were really stored, see sequences.ts.
  rustory_p2p_stored_seqs: {
    uses: ['name', 'seq'],
    sql: 'CREATE TABLE IF NOT EXISTS rustory_p2p_stored_seqs (name TEXT PRIMARY KEY, seq INTEGER NOT NULL);',
  },
  // Ranges of numbers that no row ever had, see unused-seqs.ts.
  rustory_p2p_unused_seqs: {
    uses: ['name', 'after_seq', 'until_seq'],
    sql: `
CREATE TABLE IF NOT EXISTS rustory_p2p_unused_seqs (
  name TEXT NOT NULL,
  after_seq INTEGER NOT NULL,
  until_seq INTEGER NOT NULL,
  PRIMARY KEY (name, after_seq)
) WITHOUT ROWID;`,
  },
  // Requests with numbers that were never stored, see high-requests.ts.
  rustory_p2p_high_requests: {
    uses: ['peer_id', 'cursor', 'delete_cursor', 'seen_at'],
    sql: `
CREATE TABLE IF NOT EXISTS rustory_p2p_high_requests (
  peer_id TEXT PRIMARY KEY,
  cursor INTEGER NOT NULL,
  delete_cursor INTEGER NOT NULL,
  seen_at INTEGER NOT NULL
);`,
  },
  // The id of the database and other facts about it, see database-id.ts and storage.ts.
  rustory_p2p_database: {
    uses: ['name', 'value'],
    sql: `
CREATE TABLE IF NOT EXISTS rustory_p2p_database (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;`,
  },
  // When and how the last sync with each peer ended, see push-store.ts.
  rustory_p2p_syncs: {
    uses: ['peer_id', 'resets', 'pulled_at', 'push_at', 'push_state', 'push_problem', 'hub_at'],
    sql: `
CREATE TABLE IF NOT EXISTS rustory_p2p_syncs (
  peer_id TEXT PRIMARY KEY,
  resets INTEGER NOT NULL DEFAULT 0,
  pulled_at INTEGER,
  push_at INTEGER,
  push_state TEXT,
  push_problem TEXT,
  hub_at INTEGER
);`,
  },
  // The last turn of each peer in the rounds, see discovery/peer-turns.ts.
  rustory_p2p_peer_turns: {
    uses: [
      'peer_id',
      'turn',
      'state',
      'completed',
      'misses',
      'retry_at',
      'registration',
      'seen_at',
      'listed_at',
    ],
    sql: `
CREATE TABLE IF NOT EXISTS rustory_p2p_peer_turns (
  peer_id TEXT PRIMARY KEY,
  turn INTEGER NOT NULL,
  state TEXT NOT NULL,
  completed INTEGER NOT NULL,
  misses INTEGER NOT NULL,
  retry_at INTEGER NOT NULL,
  registration TEXT NOT NULL,
  seen_at INTEGER NOT NULL,
  listed_at INTEGER NOT NULL
);`,
  },
  // When a hub last heard of each device, see hub/devices.ts.
  rustory_p2p_heard_devices: {
    uses: ['device_id', 'heard_at'],
    sql: `
CREATE TABLE IF NOT EXISTS rustory_p2p_heard_devices (device_id TEXT PRIMARY KEY, heard_at INTEGER NOT NULL);`,
  },
  // Other devices under which a tracker lists the identity of this one, see discovery/identity-watch.ts.
  rustory_p2p_identity_sightings: {
    uses: ['peer_id', 'device_id', 'hostname', 'sighting_json'],
    sql: `
CREATE TABLE IF NOT EXISTS rustory_p2p_identity_sightings (
  peer_id TEXT NOT NULL,
  device_id TEXT NOT NULL,
  hostname TEXT NOT NULL,
  sighting_json TEXT NOT NULL,
  PRIMARY KEY (peer_id, device_id, hostname)
) WITHOUT ROWID;`,
  },
  // The two ids of an imported record: by its repetition, as earlier versions of this peer derived it, and as stored.
  rustory_p2p_import_ids: {
    uses: ['repetition_id', 'entry_id'],
    sql: `
CREATE TABLE IF NOT EXISTS rustory_p2p_import_ids (
  repetition_id TEXT PRIMARY KEY,
  entry_id TEXT NOT NULL UNIQUE
) WITHOUT ROWID;`,
  },
};

/** The file has another schema: a newer program has changed it, or the file belongs to another program. */
export class SchemaError extends Error {
  override readonly name = 'SchemaError';
  readonly code = 'SCHEMA_UNKNOWN';
}

/**
 * Creates the tables that are missing. A new database starts with numbers that no earlier one under the same path assigned.
 *
 * @throws SchemaError when a table lacks a column that this peer uses.
 */
export function prepareSchema(sqlite: DatabaseSync, nowUnixMs: () => number): void {
  const columns = readColumns(sqlite);
  const isMissing = (table: string): boolean => !columns.has(table);
  const book = columns.get('peer_book');
  for (const [table, { uses }] of Object.entries(TABLES)) {
    const lacking = uses.find((column) => columns.get(table)?.has(column) === false);
    if (lacking !== undefined) throw new SchemaError(`its table ${table} has no column ${lacking}`);
  }
  // Checked first, so that opening a complete database needs no write lock.
  const isComplete = !Object.keys(TABLES).some(isMissing) && book?.has('rr_version') === true;
  if (isComplete && !hasTooLargeNumbers(sqlite)) return;
  sqlite.exec('BEGIN IMMEDIATE');
  try {
    // Read again, because another process may have created tables since.
    const tables = readColumns(sqlite);
    for (const { sql } of Object.values(TABLES)) sqlite.exec(sql);
    replaceTooLargeNumbers(sqlite, nowUnixMs());
    if (!tables.has('entries')) raiseSequences(sqlite, nowUnixMs());
    else if (!tables.has('rustory_p2p_stored_seqs')) noteCounters(sqlite);
    // Another process may have added the column since.
    if (readColumns(sqlite).get('peer_book')?.has('rr_version') !== true)
      sqlite.exec('ALTER TABLE peer_book ADD COLUMN rr_version TEXT');
    sqlite.exec('COMMIT');
  } catch (error) {
    if (sqlite.isTransaction) sqlite.exec('ROLLBACK');
    throw error;
  }
}

/** The columns of the tables that exist. */
function readColumns(sqlite: DatabaseSync): Map<string, Set<string>> {
  const columns = new Map<string, Set<string>>();
  const statement = sqlite.prepare('SELECT name FROM pragma_table_info(?)');
  for (const table of Object.keys(TABLES)) {
    const names = statement.all(table).map((row) => String(row['name']));
    if (names.length > 0) columns.set(table, new Set(names));
  }
  return columns;
}
