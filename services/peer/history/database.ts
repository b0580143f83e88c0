// Opens the SQLite file, and converts the error codes of SQLite to errors with advice.
// `rr` and this peer can have the same file open at the same time.
import { accessSync, chmodSync, constants, existsSync, statSync } from 'node:fs';
import os from 'node:os';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { describeError, errorCode } from '../../shared/errors.ts';
import { makePrivateDirectory } from '../../shared/files.ts';
import { refused, type Result } from '../../shared/result.ts';
import { primaryCode } from './database-files.ts';
import { createFileWatch, FileReplacedError, readIdentity } from './file-identity.ts';
import { prepareSchema, SchemaError } from './schema.ts';

/** Maximum wait for another process that is writing, in milliseconds; the same as in `rr`. */
const BUSY_TIMEOUT_MS = 5_000;

/**
 * Cache in KiB while many entries are imported. The indexes of random ids do not fit into the 2 MiB that SQLite
 * uses by default, so that a large import would read and write each page many times.
 */
const IMPORT_CACHE_KIB = 64 * 1024;

/**
 * Size in bytes to which SQLite shortens its log when it starts to use it anew. The log grows while another process reads for
 * long, as a backup does, and would otherwise keep that size.
 */
const MAX_LOG_BYTES = 16 * 1024 * 1024;

/** Error codes of the SQLite module of Node.js: a failed statement, and an integer that is not exact in JavaScript. */
const SQLITE_ERROR_CODES: ReadonlySet<string> = new Set(['ERR_SQLITE_ERROR', 'ERR_OUT_OF_RANGE']);

const SQLITE_BUSY = 5;
const SQLITE_READONLY = 8;
const SQLITE_CANTOPEN = 14;

interface Failure {
  readonly reason: string;
  readonly advice: string;
}

/** Primary result codes of SQLite (https://sqlite.org/rescode.html) that a user can fix. */
const FAILURES: Readonly<Record<number, Failure>> = {
  [SQLITE_BUSY]: {
    reason: 'another process has locked it',
    advice: 'Try again when that process has finished.',
  },
  6: { reason: 'another connection has locked it', advice: 'Try again when that command has finished.' },
  [SQLITE_READONLY]: {
    reason: 'it is read-only',
    advice: 'Give this user permission to write the file and its directory.',
  },
  10: { reason: 'the disk reported an error', advice: 'Check the disk, then run rustory-peer doctor.' },
  11: {
    reason: 'it is damaged',
    advice: 'Restore a copy, or set db_path to a new file and sync again from another device.',
  },
  13: { reason: 'the disk is full', advice: 'Free some space and run the command again.' },
  [SQLITE_CANTOPEN]: {
    reason: 'it cannot be opened',
    advice: 'Check that the directory exists and that this user may write there.',
  },
  26: { reason: 'it is not a SQLite database', advice: 'Set db_path to another file.' },
};

/** The database cannot be read or written. The transaction that failed was rolled back. */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError';
  readonly code = 'DATABASE_UNUSABLE';
  /** What the user can do, as a whole sentence; absent when SQLite reported an error without a known remedy. */
  readonly advice: string | undefined;

  constructor(path: string, cause: unknown) {
    const failure = findFailure(path, cause);
    super(
      `${path}: the database cannot be used: ${failure?.reason ?? describeError(cause)}; nothing was lost.`,
      {
        cause,
      },
    );
    this.advice = failure?.advice;
  }
}

/** An open database. Every call throws DatabaseError when the file cannot be used. */
export interface Database {
  readonly path: string;
  readonly sqlite: DatabaseSync;
  /** Clock of the machine in milliseconds since 1970, for numbers that are above all earlier ones. */
  readonly nowUnixMs: () => number;
  /** Runs `work` in one transaction, which is rolled back when `work` throws. */
  write<T>(work: () => T): T;
  /** The same without a wait for another process that is writing, because a wait would stop everything in this one. */
  writeNow<T>(work: () => T): Result<{ readonly value: T }, 'locked'>;
  read<T>(work: () => T): T;
  /** Throws DatabaseError when the file was deleted or replaced since it was opened. */
  check(): void;
  /** Uses more memory from now on, for many writes in a row. */
  enlargeCache(): void;
  /** Removes what was deleted from the log of SQLite. Returns false when another process uses the database just now. */
  emptyLog(): boolean;
  close(): void;
}

export interface DatabaseOptions {
  /**
   * Whether what is committed survives a power failure. For a process that acknowledges what other devices send. Default
   * false: a power failure may undo the last transactions completely.
   */
  readonly isDurable?: boolean;
}

/**
 * Opens the database, or creates it with mode 0600.
 *
 * @throws DatabaseError
 */
export function openDatabase(
  path: string,
  nowUnixMs: () => number = Date.now,
  { isDurable = false }: DatabaseOptions = {},
): Database {
  const guard = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw isDatabaseFailure(error) ? new DatabaseError(path, error) : error;
    }
  };
  const { sqlite, files } = guard(() => {
    makePrivateDirectory(dirname(path));
    const before = readIdentity(path);
    // Not imported statically, because loading it prints a warning in Node.js 22, which `main` suppresses.
    const opened = new (process.getBuiltinModule('node:sqlite').DatabaseSync)(path, {
      timeout: BUSY_TIMEOUT_MS,
    });
    try {
      restrictMode(path);
      prepare(opened, nowUnixMs, isDurable);
      // After the first read, which creates the log.
      return { sqlite: opened, files: createFileWatch(path, before) };
    } catch (error) {
      opened.close();
      throw error;
    }
  });

  const write = <T>(work: () => T): T =>
    guard(() => {
      files.check();
      // IMMEDIATE: a transaction that starts to write later can fail immediately instead of waiting for the lock.
      sqlite.exec('BEGIN IMMEDIATE');
      try {
        const result = work();
        // What is committed to a file that nobody else sees would be lost.
        files.check();
        sqlite.exec('COMMIT');
        return result;
      } catch (error) {
        // SQLite itself rolls back when the disk is full.
        if (sqlite.isTransaction) sqlite.exec('ROLLBACK');
        throw error;
      }
    });

  return {
    path,
    sqlite,
    nowUnixMs,
    read: (work) =>
      guard(() => {
        // A transaction checks the files at its start and before it is committed.
        if (!sqlite.isTransaction) files.check();
        return work();
      }),
    check: () => guard(() => files.check()),
    write,
    writeNow: (work) =>
      withoutWait(sqlite, () => {
        try {
          return { ok: true, value: write(work) };
        } catch (error) {
          if (error instanceof DatabaseError && primaryCode(error.cause) === SQLITE_BUSY)
            return refused('locked');
          throw error;
        }
      }),
    enlargeCache: () => guard(() => sqlite.exec(`PRAGMA cache_size = -${IMPORT_CACHE_KIB}`)),
    emptyLog: () => guard(() => emptyLog(sqlite)),
    close: () => guard(() => sqlite.close()),
  };
}

function prepare(sqlite: DatabaseSync, nowUnixMs: () => number, isDurable: boolean): void {
  // NORMAL: in WAL mode a killed process loses nothing; a power failure may undo the last transactions completely. FULL
  // writes each transaction to the disk before its commit returns.
  // secure_delete: a deleted command is overwritten, because commands that users delete often contain secrets.
  const synchronous = isDurable ? 'FULL' : 'NORMAL';
  sqlite.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; PRAGMA secure_delete = ON;
    PRAGMA journal_size_limit = ${MAX_LOG_BYTES}`);
  prepareSchema(sqlite, nowUnixMs);
}

/**
 * Moves the content of the log into the database and empties it, so that it no longer contains what was deleted. Does
 * nothing while another process reads or writes, and ignores errors, because the deletion itself is committed: the log is
 * emptied later, at the latest when the last process closes the database.
 */
function emptyLog(sqlite: DatabaseSync): boolean {
  return withoutWait(sqlite, () => {
    try {
      return sqlite.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()?.['busy'] === 0;
    } catch (error) {
      if (isDatabaseFailure(error)) return false;
      throw error;
    }
  });
}

/** Runs `work` without a wait for the locks of other processes. */
function withoutWait<T>(sqlite: DatabaseSync, work: () => T): T {
  sqlite.exec('PRAGMA busy_timeout = 0');
  try {
    return work();
  } finally {
    sqlite.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
  }
}

function findFailure(path: string, cause: unknown): Failure | undefined {
  if (cause instanceof SchemaError) return unknownSchema(cause);
  if (cause instanceof FileReplacedError)
    return {
      reason: cause.message,
      advice:
        'Start the command again; it then uses the file that is there now, or creates one. Before you delete or replace the file, stop rustory-peer and rr.',
    };
  return FAILURES[failureCode(path, cause)];
}

function unknownSchema({ message }: SchemaError): Failure {
  return {
    reason: `${message}, so that it was written by a newer or another program`,
    advice: 'Update rustory-peer, or set db_path to another file.',
  };
}

/** Removes the permissions of other users, because a history contains secrets. Those of the owner do not change. */
function restrictMode(path: string): void {
  try {
    const { mode } = statSync(path);
    if ((mode & 0o077) !== 0) chmodSync(path, mode & 0o700);
  } catch {
    // The file belongs to another user. The first write fails if this user may not write it.
  }
}

/** Whether the error concerns the file or its content. Any other error is a defect of this program. */
function isDatabaseFailure(error: unknown): boolean {
  const code = errorCode(error);
  return (
    error instanceof SchemaError ||
    error instanceof FileReplacedError ||
    SQLITE_ERROR_CODES.has(code) ||
    Object.hasOwn(os.constants.errno, code)
  );
}

/** The primary code of SQLite, or a code that describes the error of the file system better. */
function failureCode(path: string, cause: unknown): number {
  if (errorCode(cause) === 'EACCES') return SQLITE_CANTOPEN;
  const code = primaryCode(cause);
  // WAL mode needs files next to the database. If they cannot be created, SQLite reports that it cannot open.
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
