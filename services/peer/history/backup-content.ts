// Reads the content of a backup, from a file or from standard input, into a new file: whether it is a database at all, and
// whether it is complete, is checked while it is read.
import { closeSync, createReadStream, fsyncSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { checkSpace, DatabaseFileError, followLinks } from './database-files.ts';

/** The first bytes of every SQLite database. */
const MAGIC = Buffer.from('SQLite format 3\0', 'latin1');

/** The header of a database; https://sqlite.org/fileformat.html has its fields. */
const HEADER_BYTES = 100;

/** Free bytes that a restore requires besides the copy: for tables that the file lacks, and the journal of SQLite. */
const SPARE_BYTES = 4 * 1024 * 1024;

/**
 * The content of a backup file.
 *
 * @param path of the database, on whose disk it will be written
 * @throws DatabaseFileError when the file cannot be restored as it is
 */
export function readBackupFile(file: string, path: string): AsyncIterable<Uint8Array> {
  const stats = statSync(file, { throwIfNoEntry: false, bigint: true });
  if (stats === undefined)
    throw new DatabaseFileError(`${file} does not exist.`, { advice: 'Check the path of the backup.' });
  if (!stats.isFile())
    throw new DatabaseFileError(`${file} is not a regular file.`, {
      advice: 'Use - to read standard input.',
    });
  const own = statSync(path, { throwIfNoEntry: false, bigint: true });
  if (stats.dev === own?.dev && stats.ino === own.ino)
    throw new DatabaseFileError(`${file} is the database itself.`, { advice: 'Give the path of a backup.' });
  const log = statSync(`${file}-wal`, { throwIfNoEntry: false });
  if (log !== undefined && log.size > 0)
    throw new DatabaseFileError(
      `${file} is a database whose last changes are in ${file}-wal, so that the file alone is not complete.`,
      {
        advice: `Make a backup of it with "rustory-peer backup --db-path ${file} COPY", and restore that one.`,
      },
    );
  // Before anything is written.
  checkSpace(followLinks(path), Number(stats.size) + SPARE_BYTES);
  return createReadStream(file);
}

export interface ContentOptions {
  /** What messages call the input: its path, or standard input. */
  readonly name: string;
  /** Called with the bytes that were read until now. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes the content to a new file with mode 0600.
 *
 * @throws DatabaseFileError when it is no complete SQLite database
 */
export async function writeContent(
  target: string,
  content: AsyncIterable<Uint8Array>,
  { name, onProgress, signal }: ContentOptions,
): Promise<void> {
  const file = openSync(target, 'wx+', 0o600);
  try {
    let bytes = 0;
    let head = Buffer.alloc(0);
    for await (const chunk of content) {
      signal?.throwIfAborted();
      if (head.length < MAGIC.length) head = Buffer.concat([head, chunk]).subarray(0, MAGIC.length);
      if (!MAGIC.subarray(0, head.length).equals(head)) throw notSqlite(name);
      for (let written = 0; written < chunk.length;) written += writeSync(file, chunk, written);
      bytes += chunk.length;
      onProgress?.(bytes);
    }
    checkLength(name, file, bytes);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** The header contains the number of pages, so that a transfer that was cut off is noticed. */
function checkLength(name: string, file: number, bytes: number): void {
  const header = Buffer.alloc(HEADER_BYTES);
  if (readSync(file, header, 0, HEADER_BYTES, 0) < HEADER_BYTES) throw notSqlite(name);
  const pageSize = header.readUInt16BE(16);
  const expected = (pageSize === 1 ? 65_536 : pageSize) * header.readUInt32BE(28);
  // The number of pages is valid only if the counter of changes is still the one at which it was written.
  if (header.readUInt32BE(24) !== header.readUInt32BE(92) || expected <= bytes) return;
  throw new DatabaseFileError(
    `${name} has ${bytes} bytes, but the database in it has ${expected}. Nothing was changed.`,
    { advice: 'It was cut off, or copied while it was in use. Use another backup.' },
  );
}

function notSqlite(name: string): DatabaseFileError {
  return new DatabaseFileError(`${name} is not a SQLite database. Nothing was changed.`, {
    advice: 'Give a file that "rustory-peer backup" wrote.',
  });
}
