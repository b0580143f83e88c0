// Files of databases that are written under a temporary name first: their names, the checks of their content, and the steps
// that make them survive a power failure.
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statfsSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { errorCode } from '../../shared/errors.ts';

/** Errors of file systems without hard links, and of links between two of them. */
const NO_LINKS: ReadonlySet<string> = new Set([
  'EPERM',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
  'EXDEV',
  'EMLINK',
]);

/** Details of a `DatabaseFileError`. */
interface FileErrorOptions {
  /** What the user can do, as a whole sentence. */
  readonly advice?: string;
  readonly cause?: unknown;
  /** Whether the database of this device is the problem, and not the file of a backup. */
  readonly concernsDatabase?: boolean;
}

/** Maximum symbolic links that lead to a file; the same as in Linux. */
const MAX_LINKS = 40;

/** A backup cannot be made or restored. The message is a whole sentence. */
export class DatabaseFileError extends Error {
  override readonly name = 'DatabaseFileError';
  readonly code: 'DATABASE_UNUSABLE' | 'BACKUP_UNUSABLE';
  readonly advice: string | undefined;

  constructor(message: string, { advice, cause, concernsDatabase = false }: FileErrorOptions = {}) {
    super(message, cause === undefined ? {} : { cause });
    this.code = concernsDatabase ? 'DATABASE_UNUSABLE' : 'BACKUP_UNUSABLE';
    this.advice = advice;
  }
}

/**
 * The file that a path leads to, which need not exist: a file that replaces it must be on its disk, and SQLite has its log
 * there.
 */
export function followLinks(path: string): string {
  let file = path;
  for (let links = 0; links < MAX_LINKS; links += 1) {
    try {
      file = resolve(dirname(file), readlinkSync(file));
    } catch {
      // Not a link.
      break;
    }
  }
  return file;
}

/** A name beside a file that nobody else uses. */
export function temporaryName(path: string, purpose: 'backup' | 'restore'): string {
  return `${path}.${purpose}-${randomBytes(4).toString('hex')}.tmp`;
}

/** Temporary files beside a path that a process left when it was killed. They are not deleted: it may still run. */
function findTemporaryFiles(path: string): string[] {
  const pattern = /^\.(?:backup|restore)-[0-9a-f]{8}\.tmp$/;
  const name = basename(path);
  try {
    return readdirSync(dirname(path))
      .filter((file) => file.startsWith(name) && pattern.test(file.slice(name.length)))
      .map((file) => join(dirname(path), file));
  } catch {
    return [];
  }
}

/** Removes a database and everything that SQLite writes beside it. */
export function removeDatabase(path: string): void {
  for (const suffix of ['', '-journal', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
}

/** Bytes of the disk of a directory that this user may still write. */
export function freeBytesOf(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}

/** @throws DatabaseFileError when the disk of a file, which need not exist, has less than `bytes` free */
export function checkSpace(path: string, bytes: number): void {
  let directory = dirname(path);
  while (!existsSync(directory)) directory = dirname(directory);
  const freeBytes = freeBytesOf(directory);
  if (freeBytes < bytes) throw noSpace(path, { bytes, freeBytes });
}

/** Why there is no copy. */
export function noSpace(
  path: string,
  { bytes, freeBytes, cause }: { bytes?: number; freeBytes?: number; cause?: unknown },
): DatabaseFileError {
  const numbers = bytes === undefined ? '' : `: ${bytes} bytes are required, and ${freeBytes} are free`;
  const left = findTemporaryFiles(path).join(', ');
  const advice = 'Free space, or enlarge the volume.';
  return new DatabaseFileError(
    `${dirname(path)}: the disk has no space for a copy of the database${numbers}. Nothing was changed.`,
    {
      advice:
        left === ''
          ? advice
          : `${advice} Delete what an interrupted command left, unless it still runs: ${left}.`,
      cause,
    },
  );
}

const SQLITE_FULL = 13;

/** Whether a file could not be written for lack of space. */
export function isDiskFull(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT' || primaryCode(error) === SQLITE_FULL;
}

/** The primary result code of SQLite (https://sqlite.org/rescode.html); 0 when it is another error. */
export function primaryCode(error: unknown): number {
  const code = typeof error === 'object' && error !== null && 'errcode' in error ? Number(error.errcode) : 0;
  // Extended result codes contain the primary code in their low byte.
  return code & 0xff;
}

export function hasTable(sqlite: DatabaseSync, name: string): boolean {
  return (
    sqlite.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").get(name) !== undefined
  );
}

/** The entries and deletions of a database; 0 for a table that it does not have. */
export function countRows(sqlite: DatabaseSync): { readonly entries: number; readonly deletions: number } {
  const count = (table: string): number =>
    hasTable(sqlite, table)
      ? Number(sqlite.prepare(`SELECT count(*) AS count FROM ${table}`).get()?.['count'])
      : 0;
  return { entries: count('entries'), deletions: count('entry_deletions') };
}

/** The first problem that the complete integrity check of SQLite finds; `undefined` when there is none. */
export function findDamage(sqlite: DatabaseSync): string | undefined {
  const result = sqlite.prepare('PRAGMA integrity_check(1)').get()?.['integrity_check'];
  return result === 'ok' ? undefined : String(result);
}

/** Writes a file, or the entries of a directory, to the disk. */
export function syncToDisk(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Gives a file a second name. Returns false on a file system that cannot. @throws Error of the file system, such as EEXIST */
export function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (NO_LINKS.has(errorCode(error))) return false;
    throw error;
  }
}

/** Renames a file, and fails when the new name exists. @throws Error of the file system, such as EEXIST */
export function renameToNew(from: string, to: string): void {
  if (tryLink(from, to)) rmSync(from);
  else renameSync(from, to);
}
