// Replaces the file of a database, which other processes may have open, by another file. SQLite would combine the new file
// with a log that is left of the old one, and damage it. So the log is emptied and deleted first, while nobody can write to
// it: a process that is killed between any two steps leaves the old database or the new one, complete and without a
// foreign log. Processes of this program notice that their file was replaced and store nothing more in it.
import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { errorCode } from '../../shared/errors.ts';
import { DatabaseFileError, primaryCode, renameToNew, syncToDisk, tryLink } from './database-files.ts';
import { readIdentity } from './file-identity.ts';

/** Maximum wait for processes that read or write, in milliseconds. */
const LOCK_WAIT_MS = 10_000;

/** Attempts to empty the log between two writes of another process. */
const EMPTY_ATTEMPTS = 20;

/** Primary result codes of SQLite for a file that it cannot read. */
const DAMAGED: ReadonlySet<number> = new Set([10, 11, 26]);
const BUSY: ReadonlySet<number> = new Set([5, 6]);

export interface ReplaceOptions {
  /** Whether other processes may have the old file open; otherwise this is an error. */
  readonly allowsUsers: boolean;
  /** Added to the name under which the old file is kept. */
  readonly suffix: string;
  /** Called before each step, for tests that end the process there. */
  readonly onStep?: ((step: string) => void) | undefined;
}

export interface Replaced {
  /** The path at which the old database is kept; `undefined` when there was none. */
  readonly kept: string | undefined;
}

/**
 * Replaces the database at `path` by the file `next` in the same directory, which needs no log.
 *
 * @throws DatabaseFileError when another process uses the old database; nothing was changed then
 */
export function replaceDatabase(path: string, next: string, options: ReplaceOptions): Replaced {
  const step = options.onStep ?? (() => {});
  removeLinks(path);
  if (!existsSync(path)) return placeNew(path, next, options, step);
  const before = readIdentity(path);
  const lock = lockDatabase(path, options.allowsUsers);
  try {
    // The lock would be that of a file which another restore has replaced.
    if (readIdentity(path) !== before) throw inUse(path);
    step('keep');
    const kept = keep(path, options.suffix);
    // A log that could not be emptied belongs to a file that cannot be read, and may help to repair it.
    step('log');
    if (lock === undefined) keepLog(path, kept);
    else rmSync(`${path}-wal`, { force: true });
    step('shared memory');
    // Also without a log: other processes would read the size of the old file in it.
    rmSync(`${path}-shm`, { force: true });
    step('rename');
    renameSync(next, path);
    step('sync');
    syncToDisk(dirname(path));
    return { kept };
  } finally {
    // SQLite notices that its file was renamed, and touches nothing beside the new one.
    lock?.close();
  }
}

/** The new file where there was none; fails if a process creates one meanwhile. */
function placeNew(
  path: string,
  next: string,
  { suffix }: ReplaceOptions,
  step: (step: string) => void,
): Replaced {
  step('log');
  keepLog(path, `${path}${suffix}`);
  step('shared memory');
  rmSync(`${path}-shm`, { force: true });
  step('rename');
  try {
    renameToNew(next, path);
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    throw new DatabaseFileError(`${path}: another process created the database meanwhile.`, {
      advice: 'Run the command again.',
      cause: error,
      concernsDatabase: true,
    });
  }
  step('sync');
  syncToDisk(dirname(path));
  return { kept: undefined };
}

/** Removes second names of the database, which a process left that was killed before it replaced the file. */
function removeLinks(path: string): void {
  const own = statSync(path, { throwIfNoEntry: false, bigint: true });
  if (own === undefined || own.nlink === 1n) return;
  for (const name of readdirSync(dirname(path))) {
    if (!name.startsWith(`${basename(path)}.replaced-`)) continue;
    const file = join(dirname(path), name);
    const other = statSync(file, { throwIfNoEntry: false, bigint: true });
    if (other?.dev === own.dev && other.ino === own.ino) rmSync(file);
  }
}

/** Gives the old file another name, and leaves it where it is until the new one replaces it. */
function keep(path: string, suffix: string): string {
  for (let number = 1; ; number += 1) {
    const kept = `${path}${suffix}${number === 1 ? '' : `-${number}`}`;
    try {
      // Without links there is no file at the path for a moment.
      if (!tryLink(path, kept)) renameSync(path, kept);
      return kept;
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error;
    }
  }
}

function keepLog(path: string, kept: string): void {
  const log = statSync(`${path}-wal`, { throwIfNoEntry: false });
  if (log === undefined) return;
  if (log.size === 0) rmSync(`${path}-wal`);
  else renameSync(`${path}-wal`, `${kept}-wal`);
}

/**
 * Moves everything from the log into the database, and prevents that anything else is written. `undefined` when the database
 * is so damaged that SQLite does not open it.
 *
 * @throws DatabaseFileError when other processes use the database
 */
function lockDatabase(path: string, allowsUsers: boolean): DatabaseSync | undefined {
  try {
    return lockAlone(path) ?? lockShared(path, allowsUsers);
  } catch (error) {
    if (DAMAGED.has(primaryCode(error))) return undefined;
    if (BUSY.has(primaryCode(error))) throw inUse(path, error);
    throw error;
  }
}

/** The database, locked so that no process can open it; `undefined` when one has it open. */
function lockAlone(path: string): DatabaseSync | undefined {
  const sqlite = open(path, 0);
  try {
    sqlite.exec(
      'PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE',
    );
    return sqlite;
  } catch (error) {
    sqlite.close();
    if (BUSY.has(primaryCode(error))) return undefined;
    throw error;
  }
}

/** The database with an empty log and the lock for writing. Other processes can still read. */
function lockShared(path: string, allowsUsers: boolean): DatabaseSync {
  if (!allowsUsers) throw inUse(path);
  const sqlite = open(path, LOCK_WAIT_MS);
  try {
    for (let attempt = 0; attempt < EMPTY_ATTEMPTS; attempt += 1) {
      const isEmptied = sqlite.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()?.['busy'] === 0;
      sqlite.exec('BEGIN IMMEDIATE');
      // Another process may have written between the two statements.
      if (isEmptied && (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) === 0) return sqlite;
      sqlite.exec('ROLLBACK');
    }
    throw inUse(path);
  } catch (error) {
    sqlite.close();
    throw error;
  }
}

function open(path: string, timeout: number): DatabaseSync {
  return new (process.getBuiltinModule('node:sqlite').DatabaseSync)(path, { timeout });
}

function inUse(path: string, cause?: unknown): DatabaseFileError {
  return new DatabaseFileError(`${path}: another process uses the database. Nothing was changed.`, {
    advice:
      'Stop rustory-peer and rr on this device, then run the command again. The hooks of rr in open shells write only for a moment.',
    cause,
    concernsDatabase: true,
  });
}
