// A copy of a database that is in use, made by the backup of SQLite: what is committed when it begins, as one file that needs
// no log. It has no database id, so that a hub that is started with the copy, however it got there, has a new identity.
import { chmodSync, closeSync, existsSync, openSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { errorCode } from '../../shared/errors.ts';
import { DatabaseError } from './database.ts';
import {
  checkSpace,
  countRows,
  DatabaseFileError,
  findDamage,
  followLinks,
  hasTable,
  isDiskFull,
  noSpace,
  primaryCode,
  removeDatabase,
  renameToNew,
  syncToDisk,
  temporaryName,
} from './database-files.ts';
import { removeId } from './database-id.ts';

/** Wait for a process that has locked the database, in milliseconds. */
const BUSY_TIMEOUT_MS = 5_000;

/** Primary result codes of SQLite for a file, or a directory, that this user may not write. */
const NOT_WRITABLE: ReadonlySet<number> = new Set([8, 14]);

/** Pages that are copied before the progress is reported and a signal is noticed: 4 MiB. */
const PAGES_PER_STEP = 1_024;

export interface BackupReport {
  readonly entries: number;
  readonly deletions: number;
  readonly bytes: number;
}

export interface BackupOptions {
  /** Whether a file that exists is replaced. */
  readonly isForced?: boolean;
  /** Called with the share that is copied, from 0 to 1; the copy is checked after that. */
  readonly onProgress?: (share: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Writes a copy of the database to a file with mode 0600. The file appears when it is complete and checked.
 *
 * @throws DatabaseError when the database cannot be read
 * @throws DatabaseFileError when the copy cannot be written, or is damaged
 */
export async function backUpDatabase(
  path: string,
  given: string,
  options: BackupOptions = {},
): Promise<BackupReport> {
  const target = followLinks(given);
  checkTarget(path, target, options.isForced === true);
  const temporary = temporaryName(target, 'backup');
  try {
    const counts = await copyDatabase(path, temporary, options);
    syncToDisk(temporary);
    if (options.isForced === true) renameSync(temporary, target);
    else renameToNew(temporary, target);
    syncToDisk(dirname(target));
    return counts;
  } catch (error) {
    throw errorCode(error) === 'EEXIST' ? existsError(target) : error;
  } finally {
    removeDatabase(temporary);
  }
}

function checkTarget(path: string, target: string, isForced: boolean): void {
  if (!existsSync(dirname(target)))
    throw new DatabaseFileError(`${dirname(target)} does not exist.`, {
      advice: 'Create the directory first.',
    });
  const file = statSync(target, { throwIfNoEntry: false, bigint: true });
  if (file === undefined) return;
  const own = statSync(path, { throwIfNoEntry: false, bigint: true });
  if (file.dev === own?.dev && file.ino === own.ino)
    throw new DatabaseFileError(`${target} is the database itself.`, {
      advice: 'Choose another file for the copy.',
    });
  if (!file.isFile())
    throw new DatabaseFileError(`${target} is not a regular file.`, {
      advice: 'Choose another file for the copy.',
    });
  if (!isForced) throw existsError(target);
}

const existsError = (target: string): DatabaseFileError =>
  new DatabaseFileError(`${target} exists.`, {
    advice: 'Choose another name, or add --force to replace the file.',
  });

/**
 * Copies the database to a file that does not exist, and checks the copy. The caller removes the file after an error.
 *
 * @throws DatabaseError, DatabaseFileError
 */
export async function copyDatabase(
  path: string,
  copy: string,
  options: BackupOptions,
): Promise<BackupReport> {
  if (!existsSync(path))
    throw new DatabaseFileError(`${path} does not exist.`, {
      advice: 'Check db_path.',
      concernsDatabase: true,
    });
  const { backup } = process.getBuiltinModule('node:sqlite');
  const source = guard(path, () => openSource(path));
  try {
    const { bytes } = source
      .prepare('SELECT page_count * page_size AS bytes FROM pragma_page_count(), pragma_page_size()')
      .get() as { bytes: number };
    checkSpace(copy, bytes);
    // Created here, because SQLite would create it with the permissions that the umask leaves.
    closeSync(openSync(copy, 'wx', 0o600));
    await backup(source, copy, {
      rate: PAGES_PER_STEP,
      progress({ totalPages, remainingPages }) {
        options.signal?.throwIfAborted();
        options.onProgress?.(totalPages === 0 ? 1 : 1 - remainingPages / totalPages);
      },
    });
    options.signal?.throwIfAborted();
    return finishCopy(path, copy);
  } catch (error) {
    throw describeFailure(path, copy, error);
  } finally {
    source.close();
  }
}

/** Opens the database, and begins to read. A user without permission to write can read it while a process has it open. */
function openSource(path: string): DatabaseSync {
  const { DatabaseSync: Sqlite } = process.getBuiltinModule('node:sqlite');
  try {
    return beginSnapshot(new Sqlite(path, { timeout: BUSY_TIMEOUT_MS }));
  } catch (error) {
    if (!NOT_WRITABLE.has(primaryCode(error))) throw error;
    return beginSnapshot(new Sqlite(path, { readOnly: true, timeout: BUSY_TIMEOUT_MS }));
  }
}

/**
 * Begins to read. Without an open transaction the backup would start again after each write of another process, and would
 * never end while a hub stores what devices push. With it, the log of SQLite grows meanwhile.
 */
function beginSnapshot(source: DatabaseSync): DatabaseSync {
  try {
    source.exec('BEGIN');
    source.prepare('SELECT count(*) FROM sqlite_schema').get();
    return source;
  } catch (error) {
    source.close();
    throw error;
  }
}

/** Makes the copy one file without a log and without an id, and checks it. */
function finishCopy(path: string, copy: string): BackupReport {
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite');
  const sqlite = new DatabaseSync(copy);
  try {
    sqlite.exec('PRAGMA journal_mode = DELETE; PRAGMA secure_delete = ON');
    const damage = findDamage(sqlite);
    if (damage !== undefined)
      throw new DatabaseFileError(
        `${path} is damaged: ${damage}. The copy was deleted, because it is damaged too.`,
        { advice: 'Keep the earlier backups, and restore one of them.', concernsDatabase: true },
      );
    const counts = countRows(sqlite);
    if (hasTable(sqlite, 'rustory_p2p_database')) removeId(sqlite);
    sqlite.close();
    chmodSync(copy, 0o600);
    return { ...counts, bytes: statSync(copy).size };
  } finally {
    if (sqlite.isOpen) sqlite.close();
  }
}

function guard<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new DatabaseError(path, error);
  }
}

function describeFailure(path: string, copy: string, error: unknown): unknown {
  if (error instanceof DatabaseFileError || error instanceof DatabaseError) return error;
  if (isDiskFull(error)) return noSpace(copy, { cause: error });
  return errorCode(error) === 'ERR_SQLITE_ERROR' ? new DatabaseError(path, error) : error;
}
