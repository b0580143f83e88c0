// Notices that the file of an open database was deleted or replaced. SQLite would go on with the file that it has open,
// which no other process sees, and whose content is gone when this process ends.
import { statSync } from 'node:fs';
import { followLinks } from './database-files.ts';

/** The file at the path is not the one that is open. */
export class FileReplacedError extends Error {
  override readonly name = 'FileReplacedError';
  readonly code = 'FILE_REPLACED';
}

export interface FileWatch {
  /** @throws FileReplacedError */
  check(): void;
}

/**
 * Remembers the files of a database that was just opened: the database and its log, which SQLite deletes only when the last
 * process closes the database.
 *
 * @param before the file at the path before it was opened; `undefined` when there was none
 * @throws FileReplacedError when it is another one now, so that it is not known which one is open
 */
export function createFileWatch(path: string, before: string | undefined): FileWatch {
  if (before !== undefined && readIdentity(path) !== before)
    throw new FileReplacedError('it was replaced while it was opened');
  // SQLite has the log beside the file that a symbolic link leads to.
  const files = [path, `${followLinks(path)}-wal`].map((file) => ({ file, identity: readIdentity(file) }));
  return {
    check() {
      for (const { file, identity } of files) {
        // Some file systems have no log.
        if (identity === undefined) continue;
        const current = readIdentity(file);
        if (current === identity) continue;
        const what = file === path ? 'it was' : `its log ${file} was`;
        throw new FileReplacedError(
          `${what} ${current === undefined ? 'deleted' : 'replaced'} while it was in use`,
        );
      }
    },
  };
}

/** The device and the number of a file; `undefined` when there is none. */
export function readIdentity(file: string): string | undefined {
  const stats = statSync(file, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? undefined : `${stats.dev} ${stats.ino}`;
}
