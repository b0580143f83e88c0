// Whether something can be stored: the size of the database and of its disk, compared with their limits before SQLite
// fails, and the failures of SQLite. What is stored already can be read all the same. A problem ends by itself when there
// is space again.
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { describeError } from '../../shared/errors.ts';
import { refused, type Result } from '../../shared/result.ts';
import type { Database } from './database.ts';
import { freeBytesOf } from './database-files.ts';
import {
  LEAST_FREE_BYTES,
  STORAGE_PROBLEMS,
  type StorageProblem,
  storageProblemOf,
} from './storage-problems.ts';

/** Time for which the result of a real write is used again, in milliseconds. The sizes are read at each check. */
const CACHE_MS = 1_000;

/**
 * Bytes above the maximum that deletions may use, as a share of it: a full database should not keep the secrets that its user
 * deletes. A deletion removes an entry that is larger, but its space is free only when a whole page is.
 */
const DELETION_SHARE = 1 / 16;

export interface StorageSizes {
  /** Bytes of the database that are in use: without the space of deleted rows, which is used again, and without the log. */
  readonly databaseBytes: number;
  /** Bytes of the log of SQLite. */
  readonly logBytes: number;
  /** Bytes of the disk that this user may still write. */
  readonly freeBytes: number;
  /** Bytes that the database may have in use: the configured maximum, or less when the disk is smaller. */
  readonly limitBytes: number;
}

export interface Storage {
  /**
   * Whether entries can be stored, or deletions, which a full database still accepts for a while. Cheap: after a write that
   * failed it writes, at most once a second.
   */
  check(kind?: 'entries' | 'deletions'): Result<object, StorageProblem>;
  /** The same, with a real write. For readiness. */
  checkWrite(): Result<object, StorageProblem>;
  /**
   * To be called with the error of a write that failed. Returns its reason, which `check` returns too until a write
   * succeeds; `undefined` when the error does not concern the storage.
   */
  report(error: unknown): StorageProblem | undefined;
  /** The reason as a whole sentence, with the numbers. */
  describe(reason: StorageProblem): string;
  sizes(): StorageSizes;
}

export interface StorageDeps {
  readonly database: Database;
  /** Maximum bytes of the database in use. Default: no limit but that of the disk. Pushes in work may exceed it. */
  readonly maxBytes?: number | undefined;
  /** Minimum free bytes on the disk of the database. */
  readonly minFreeBytes: number;
  /** Monotonic clock, in milliseconds. */
  readonly nowMs: () => number;
  /** The free bytes on the disk of a directory. Default: those that the operating system reports. */
  readonly readFreeBytes?: (directory: string) => number;
}

export function createStorage(deps: StorageDeps): Storage {
  const { database, maxBytes = Infinity, nowMs, readFreeBytes = freeBytesOf } = deps;
  const { sqlite, path } = database;
  const directory = dirname(path);
  const minFreeBytes = Math.max(deps.minFreeBytes, LEAST_FREE_BYTES);
  const statements = database.read(() => ({
    used: sqlite.prepare(
      `SELECT (page_count - freelist_count) * page_size AS bytes
       FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()`,
    ),
    // The value changes, so that SQLite writes a page.
    write: sqlite.prepare(
      `INSERT INTO rustory_p2p_database(name, value) VALUES ('write_checks', 1)
       ON CONFLICT(name) DO UPDATE SET value = (value + 1) % 1000000`,
    ),
  }));
  /** The last failure of a write; `undefined` after one that succeeded. */
  let failure: { readonly reason: StorageProblem; readonly error: unknown } | undefined;
  const limits = { entries: maxBytes, deletions: maxBytes * (1 + DELETION_SHARE) };
  const written = remember(write);

  function sizes(): StorageSizes {
    const databaseBytes = database.read(() => Number(statements.used.get()?.['bytes']));
    const freeBytes = readFreeBytes(directory);
    return {
      databaseBytes,
      logBytes: statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0,
      freeBytes,
      limitBytes: Math.min(maxBytes, databaseBytes + Math.max(0, freeBytes - minFreeBytes)),
    };
  }

  function report(error: unknown): StorageProblem | undefined {
    const reason = storageProblemOf(error, tryReadFreeBytes());
    if (reason === undefined) return undefined;
    failure = { reason, error };
    // The next check writes, whatever the last one found.
    written.forget();
    return reason;
  }

  function tryReadFreeBytes(): number {
    try {
      return readFreeBytes(directory);
    } catch {
      return Infinity;
    }
  }

  function compare(limitBytes: number): StorageProblem | undefined {
    try {
      const { databaseBytes, freeBytes } = sizes();
      if (freeBytes < minFreeBytes) return 'disk_full';
      return databaseBytes >= limitBytes ? 'database_full' : undefined;
    } catch (error) {
      return noteFailure(error);
    }
  }

  function check(kind: keyof typeof limits, isWritten: boolean): Result<object, StorageProblem> {
    const problem = compare(limits[kind]);
    if (problem !== undefined) return refused(problem);
    return failure === undefined && !isWritten ? { ok: true } : written.get();
  }

  function write(): Result<object, StorageProblem> {
    try {
      // A wait for another process would stop everything in this one, and that process can write.
      if (database.writeNow(() => statements.write.run()).ok) failure = undefined;
      return failure === undefined ? { ok: true } : refused(failure.reason);
    } catch (error) {
      return refused(noteFailure(error));
    }
  }

  function noteFailure(error: unknown): StorageProblem {
    const reason = storageProblemOf(error, tryReadFreeBytes()) ?? 'not_writable';
    failure = { reason, error };
    return reason;
  }

  /** Uses the result again for a short time. */
  function remember(work: () => Result<object, StorageProblem>) {
    let last: { readonly atMs: number; readonly result: Result<object, StorageProblem> } | undefined;
    return {
      get() {
        if (last === undefined || nowMs() - last.atMs >= CACHE_MS) {
          const result = work();
          last = { atMs: nowMs(), result };
        }
        return last.result;
      },
      forget: () => void (last = undefined),
    };
  }

  function describe(reason: StorageProblem): string {
    const { effect } = STORAGE_PROBLEMS[reason];
    if (failure !== undefined && failure.reason === reason)
      return `${path}: ${effect}: ${describeError(failure.error)}.`;
    try {
      const { databaseBytes, freeBytes } = sizes();
      return reason === 'database_full'
        ? `${path}: ${effect}: ${databaseBytes} bytes are in use, and max_database_bytes is ${maxBytes}.`
        : `${path}: ${effect}: ${freeBytes} bytes are free, and ${minFreeBytes} are required.`;
    } catch {
      return `${path}: ${effect}.`;
    }
  }

  return {
    check: (kind = 'entries') => check(kind, false),
    checkWrite: () => check('entries', true),
    report,
    describe,
    sizes,
  };
}
