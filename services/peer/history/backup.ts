// A copy of a database that is in use, made by the backup of SQLite: what is committed when it begins, as one file that needs
// no log. It has no database id, so that a hub that is started with the copy, however it got there, has a new identity.
import { chmodSync, closeSync, existsSync, openSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { errorCode } from '../../shared/errors.ts';
import { DatabaseError } from './database.ts';
import {
  checkSpace,
  DatabaseFileError,
  findDamage,
  noSpace,
  removeDatabase,
  renameToNew,
  syncToDisk,
  temporaryName,
} from './database-files.ts';

/** Wait for a process that has locked the database, in milliseconds. */
const BUSY_TIMEOUT_MS = 5_000;

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
  target: string,
  options: BackupOptions = {},
): Promise<BackupReport> {
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
  const file = statSync(target, { throwIfNoEntry: false, bigint: true });
  if (file === undefined) return;
  const own = statSync(path, { throwIfNoEntry: false, bigint: true });
  if (file.dev === own?.dev && file.ino === own.ino)
    throw new DatabaseFileError(`${target} is the database itself.`, 'Choose another file for the copy.');
  if (!file.isFile())
    throw new DatabaseFileError(`${target} is not a regular file.`, 'Choose another file for the copy.');
  if (!isForced) throw existsError(target);
}

const existsError = (target: string): DatabaseFileError =>
  new DatabaseFileError(`${target} exists.`, 'Choose another name, or add --force to replace the file.');

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
  if (!existsSync(path)) throw new DatabaseFileError(`${path} does not exist.`, 'Check db_path.');
  const { backup, DatabaseSync } = process.getBuiltinModule('node:sqlite');
  const source = guard(path, () => new DatabaseSync(path, { readOnly: true, timeout: BUSY_TIMEOUT_MS }));
  try {
    guard(path, () => beginSnapshot(source));
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

/**
 * Begins to read. Without an open transaction the backup would start again after each write of another process, and would
 * never end while a hub stores what devices push. With it, the log of SQLite grows meanwhile.
 */
function beginSnapshot(source: DatabaseSync): void {
  source.exec('BEGIN');
  source.prepare('SELECT count(*) FROM sqlite_schema').get();
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
        'Keep earlier backups and restore one of them.',
      );
    const tables = new Set(
      sqlite
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .all()
        .map((row) => String(row['name'])),
    );
    if (tables.has('rustory_p2p_database')) sqlite.exec("DELETE FROM rustory_p2p_database WHERE name = 'id'");
    const count = (table: string): number =>
      tables.has(table)
        ? Number(sqlite.prepare(`SELECT count(*) AS count FROM ${table}`).get()?.['count'])
        : 0;
    const counts = { entries: count('entries'), deletions: count('entry_deletions') };
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
  const code = errorCode(error);
  const sqliteCode =
    typeof error === 'object' && error !== null && 'errcode' in error ? Number(error.errcode) & 0xff : 0;
  if (code === 'ENOSPC' || code === 'EDQUOT' || sqliteCode === 13)
    return noSpace(copy, undefined, undefined, error);
  return code === 'ERR_SQLITE_ERROR' ? new DatabaseError(path, error) : error;
}
