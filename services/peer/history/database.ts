// The SQLite file: opens it, makes the tables of `rr` where they are missing, and turns SQLite's error codes into
// sentences. `rr` and this peer can have the same file open at the same time.
import { accessSync, chmodSync, constants, existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { describeError, errorCode } from '../../shared/errors.ts';
import { CommandError } from '../cli/exit-codes.ts';

/** How long a write waits for another process that is writing, in milliseconds; as long as `rr` waits. */
const BUSY_TIMEOUT_MS = 5_000;

/** DESIGN 3.5, with the indexes that `rr` makes. Only what is missing is made: a newer `rr` has more columns. */
const SCHEMA = `
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
CREATE INDEX IF NOT EXISTS idx_entries_device_id ON entries(device_id);
CREATE TABLE IF NOT EXISTS peer_state (peer_id TEXT PRIMARY KEY, last_cursor INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS peer_book (
  peer_id TEXT PRIMARY KEY,
  addrs_json TEXT NOT NULL,
  user_id TEXT,
  device_id TEXT,
  last_seen INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS idx_peer_book_last_seen ON peer_book(last_seen);
`;

const SQLITE_READONLY = 8;
const SQLITE_CANTOPEN = 14;

/** What the primary result codes of SQLite (https://sqlite.org/rescode.html) mean to whoever runs the command. */
const REASONS: Readonly<Record<number, readonly [reason: string, advice: string]>> = {
  5: ['another process has it locked', 'try again when that process has finished'],
  6: ['another connection has it locked', 'try again when that command has finished'],
  [SQLITE_READONLY]: ['it is read-only', 'give this user the right to write the file and its directory'],
  10: ['the disk reported an error', 'check the disk, then run: rustory-peer doctor'],
  11: ['it is damaged', 'restore a copy, or set db_path to a new file and sync again from another device'],
  13: ['the disk is full', 'make room and run the command again'],
  [SQLITE_CANTOPEN]: [
    'it cannot be opened',
    'check that the directory exists and that this user may write there',
  ],
  26: ['it is no SQLite database', 'set db_path to another file'],
};

/** Thrown when the database cannot be read or written. What was being written is rolled back. */
export class DatabaseError extends CommandError {
  constructor(path: string, cause: unknown) {
    const known = REASONS[reasonCode(path, cause)];
    const message = `the database ${path} cannot be used: ${known?.[0] ?? describeError(cause)}; nothing was lost`;
    super('database', message, known === undefined ? { cause } : { cause, advice: known[1] });
  }
}

/** An open database whose every call throws DatabaseError. */
export interface Database {
  readonly path: string;
  readonly sqlite: DatabaseSync;
  /** Runs `work` in one transaction: all of it is kept, or nothing. */
  write<T>(work: () => T): T;
  read<T>(work: () => T): T;
  close(): void;
}

/**
 * Opens the database, and makes it (mode 0600) where it is missing.
 *
 * @throws DatabaseError
 */
export function openDatabase(path: string): Database {
  const guard = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw isSqliteError(error) ? new DatabaseError(path, error) : error;
    }
  };
  const sqlite = guard(() => {
    makeDirectory(path);
    // Loaded here and not imported, because loading it prints a warning under Node 22, which `main` holds back.
    const opened = new (process.getBuiltinModule('node:sqlite').DatabaseSync)(path, {
      timeout: BUSY_TIMEOUT_MS,
    });
    hideFromOthers(path);
    prepare(opened);
    return opened;
  });

  return {
    path,
    sqlite,
    read: guard,
    write: (work) =>
      guard(() => {
        // Immediate: a transaction that only later wants to write could fail without waiting for its turn.
        sqlite.exec('BEGIN IMMEDIATE');
        try {
          const result = work();
          sqlite.exec('COMMIT');
          return result;
        } catch (error) {
          // A full disk may have rolled back already.
          if (sqlite.isTransaction) sqlite.exec('ROLLBACK');
          throw error;
        }
      }),
    close: () => guard(() => sqlite.close()),
  };
}

function prepare(sqlite: DatabaseSync): void {
  // NORMAL: in WAL mode a killed process loses nothing; a power cut may undo the last transactions, whole.
  sqlite.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
  const [row] = sqlite
    .prepare(
      "SELECT count(*) AS tables FROM sqlite_schema WHERE name IN ('entries', 'peer_state', 'peer_book')",
    )
    .all();
  // Looked at first, so that opening a finished database needs no write lock.
  if (row?.['tables'] !== 3) sqlite.exec(`BEGIN IMMEDIATE; ${SCHEMA} COMMIT`);
}

function makeDirectory(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
}

/** History holds secrets. Rights are only taken away: a file that its owner made read-only stays so. */
function hideFromOthers(path: string): void {
  try {
    const { mode } = statSync(path);
    if ((mode & 0o077) !== 0) chmodSync(path, mode & 0o700);
  } catch {
    // It belongs to someone else, who keeps the mode he gave it; whether it can be written shows at the first write.
  }
}

function isSqliteError(error: unknown): boolean {
  // Also the system's own codes, such as EACCES of the directory.
  return /^(ERR_SQLITE_ERROR|ERR_OUT_OF_RANGE|E[A-Z]+)$/.test(errorCode(error));
}

/** SQLite's code, or the one that says more about what the file system answered. */
function reasonCode(path: string, cause: unknown): number {
  if (errorCode(cause) === 'EACCES') return SQLITE_CANTOPEN;
  const code = primaryCode(cause);
  // In WAL mode there are files beside the database: where they cannot be made, SQLite only says that it cannot open.
  return code === SQLITE_CANTOPEN && existsSync(path) && !isWritable(dirname(path)) ? SQLITE_READONLY : code;
}

function isWritable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function primaryCode(error: unknown): number {
  const code = typeof error === 'object' && error !== null && 'errcode' in error ? Number(error.errcode) : 0;
  // Extended result codes carry the primary one in their low byte.
  return code & 0xff;
}
