// Why nothing can be stored: reasons, as metric labels, and their detection in errors.
import { DatabaseError } from './database.ts';
import { isDiskFull, primaryCode } from './database-files.ts';

/** Reasons; docs/metrics.md shows the sentences. `effect` is the start of the sentence in /readyz and in the log. */
export const STORAGE_PROBLEMS = {
  database_full: {
    effect: 'the database has its maximum size',
    doc: 'The database has `max_database_bytes`. Raise it, or delete entries: the space of deleted entries is used again. Deletions that devices push are stored until they use another sixteenth.',
  },
  disk_full: {
    effect: 'the disk is full',
    doc: 'The disk of the database has less free space than `min_free_bytes`, or SQLite could not write for lack of space. Enlarge the volume or free space; the service goes on without a restart.',
  },
  not_writable: {
    effect: 'the database cannot be written',
    doc: 'The disk reported an error or is read-only, the database is damaged, or another process has locked it for more than 5 seconds. The log has the text of SQLite.',
  },
} as const satisfies Record<string, { readonly effect: string; readonly doc: string }>;

export type StorageProblem = keyof typeof STORAGE_PROBLEMS;

/**
 * Minimum free bytes on the disk, whatever the configuration says: what a transaction of a few rows may need. Below it
 * SQLite fails sooner or later, depending on whether its files have unused space.
 */
export const LEAST_FREE_BYTES = 256 * 1024;

/** Primary result codes of SQLite (https://sqlite.org/rescode.html). */
const NOT_WRITABLE: ReadonlySet<number> = new Set([3, 8, 10, 11, 14, 26]);

/**
 * The reason of an error, if the error says that nothing can be stored.
 *
 * @param freeBytes on the disk now: SQLite reports a full disk as another error when it cannot enlarge its shared memory
 */
export function storageProblemOf(error: unknown, freeBytes: number): StorageProblem | undefined {
  const cause = error instanceof DatabaseError ? error.cause : error;
  if (isDiskFull(cause)) return 'disk_full';
  const code = primaryCode(cause);
  const isRefused = error instanceof DatabaseError ? !isBusy(code) : NOT_WRITABLE.has(code);
  if (!isRefused) return undefined;
  return freeBytes < LEAST_FREE_BYTES ? 'disk_full' : 'not_writable';
}

/** Whether another connection or process has locked the database. */
function isBusy(code: number): boolean {
  return code === 5 || code === 6;
}
