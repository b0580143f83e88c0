// Puts a backup in the place of the database. The copy that takes its place has a new id and raised numbers, so that nothing
// that other devices remember about the old database hides what the new one stores: see docs/decisions/backup.md for what
// happens to each table.
import { closeSync, createReadStream, fsyncSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { errorCode } from '../../shared/errors.ts';
import { makePrivateDirectory } from '../../shared/files.ts';
import type { BackupReport } from './backup.ts';
import {
  checkSpace,
  DatabaseFileError,
  findDamage,
  noSpace,
  removeDatabase,
  syncToDisk,
  temporaryName,
} from './database-files.ts';
import { writeNewId } from './database-id.ts';
import { readRevocations, writeRevocations } from './revocations.ts';
import { replaceDatabase } from './replace-database.ts';
import { prepareSchema, SchemaError } from './schema.ts';
import { raiseSequences } from './sequences.ts';

/** The first bytes of every SQLite database. */
const MAGIC = Buffer.from('SQLite format 3\0', 'latin1');
const HEADER_BYTES = 100;

/** Additional free bytes that a restore requires: for tables that the file lacks, and the journal of SQLite. */
const SPARE_BYTES = 4 * 1024 * 1024;

export interface RestoreReport extends BackupReport {
  /** The path at which the old database is kept; `undefined` when there was none. */
  readonly kept: string | undefined;
}

export interface RestoreOptions {
  /** What messages call the input: its path, or standard input. */
  readonly name: string;
  /** Clock of the machine, in milliseconds since 1970. */
  readonly nowUnixMs: () => number;
  readonly onProgress?: (bytes: number) => void;
  readonly signal?: AbortSignal;
  /** Called before each step of the replacement, for tests. */
  readonly onStep?: (step: string) => void;
}

/** The content of a backup file. @throws DatabaseFileError when it cannot be restored as it is */
export function readBackupFile(file: string, path: string): AsyncIterable<Uint8Array> {
  const stats = statSync(file, { throwIfNoEntry: false, bigint: true });
  if (stats === undefined)
    throw new DatabaseFileError(`${file} does not exist.`, 'Check the path of the backup.');
  if (!stats.isFile())
    throw new DatabaseFileError(`${file} is not a regular file.`, 'Use - to read standard input.');
  const own = statSync(path, { throwIfNoEntry: false, bigint: true });
  if (stats.dev === own?.dev && stats.ino === own.ino)
    throw new DatabaseFileError(`${file} is the database itself.`, 'Give the path of a backup.');
  const log = statSync(`${file}-wal`, { throwIfNoEntry: false });
  if (log !== undefined && log.size > 0)
    throw new DatabaseFileError(
      `${file} is a database whose last changes are in ${file}-wal, so that the file alone is not complete.`,
      'Make a backup of it with "rustory-peer backup --db-path" and restore that one.',
    );
  // Before anything is written.
  checkSpace(path, Number(stats.size) + SPARE_BYTES);
  return createReadStream(file);
}

/**
 * Replaces the database by the content of a backup. At every moment the database is the old one or the new one.
 *
 * @throws DatabaseFileError when the content cannot be restored; nothing was changed then
 */
export async function restoreDatabase(
  path: string,
  content: AsyncIterable<Uint8Array>,
  options: RestoreOptions,
): Promise<RestoreReport> {
  makePrivateDirectory(dirname(path));
  const next = temporaryName(path, 'restore');
  try {
    await writeCopy(next, content, options);
    const old = readRevocations(path);
    const counts = prepareCopy(next, old.revocations, options);
    syncToDisk(next);
    options.signal?.throwIfAborted();
    const suffix = `.replaced-${new Date(options.nowUnixMs()).toISOString().replaceAll(/[-:]|\.\d+/g, '')}`;
    const { kept } = replaceDatabase(path, next, {
      allowsUsers: old.isOfHub,
      suffix,
      onStep: options.onStep,
    });
    return { ...counts, kept };
  } catch (error) {
    throw describeFailure(path, options.name, error);
  } finally {
    removeDatabase(next);
  }
}

/** Writes the content to a new file, if it begins like a database and is complete. */
async function writeCopy(
  next: string,
  content: AsyncIterable<Uint8Array>,
  options: RestoreOptions,
): Promise<void> {
  const { name, signal, onProgress } = options;
  const file = openSync(next, 'wx+', 0o600);
  try {
    let bytes = 0;
    let head = Buffer.alloc(0);
    for await (const chunk of content) {
      signal?.throwIfAborted();
      head = head.length < MAGIC.length ? Buffer.concat([head, chunk]) : head;
      checkMagic(name, head);
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

function checkMagic(name: string, head: Buffer): void {
  const length = Math.min(head.length, MAGIC.length);
  if (!head.subarray(0, length).equals(MAGIC.subarray(0, length))) throw notSqlite(name);
}

/** The header contains the number of pages, so that a transfer that was cut off is noticed. */
function checkLength(name: string, file: number, bytes: number): void {
  const header = Buffer.alloc(HEADER_BYTES);
  if (readSync(file, header, 0, HEADER_BYTES, 0) < HEADER_BYTES) throw notSqlite(name);
  const size = header.readUInt16BE(16);
  const expected = (size === 1 ? 65_536 : size) * header.readUInt32BE(28);
  // The number is valid only if the counter of changes is the one at which it was written.
  if (header.readUInt32BE(24) !== header.readUInt32BE(92) || expected === bytes) return;
  throw new DatabaseFileError(
    `${name} has ${bytes} bytes, but the database in it has ${expected}. Nothing was changed.`,
    'It was cut off, or copied while it was in use. Use another backup.',
  );
}

const notSqlite = (name: string): DatabaseFileError =>
  new DatabaseFileError(
    `${name} is not a SQLite database. Nothing was changed.`,
    'Give a file that "rustory-peer backup" wrote.',
  );

/** Checks the copy, and prepares it for its new life. */
function prepareCopy(
  next: string,
  revocations: ReturnType<typeof readRevocations>['revocations'],
  options: RestoreOptions,
): BackupReport {
  const { name, nowUnixMs } = options;
  const sqlite = new (process.getBuiltinModule('node:sqlite').DatabaseSync)(next);
  try {
    sqlite.exec('PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON');
    const damage = findDamage(sqlite);
    if (damage !== undefined)
      throw new DatabaseFileError(
        `${name} is damaged: ${damage}. Nothing was changed.`,
        'Use another backup.',
      );
    if (
      sqlite.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'entries'").get() ===
      undefined
    )
      throw new DatabaseFileError(
        `${name} is a database of another program: it has no table entries. Nothing was changed.`,
      );
    prepareSchema(sqlite, nowUnixMs);
    sqlite.exec('BEGIN IMMEDIATE');
    raiseSequences(sqlite, nowUnixMs());
    writeNewId(sqlite);
    writeRevocations(sqlite, revocations);
    sqlite.exec(RESET_SQL);
    sqlite.exec('COMMIT');
    const count = (table: string): number =>
      Number(sqlite.prepare(`SELECT count(*) AS count FROM ${table}`).get()?.['count']);
    const counts = { entries: count('entries'), deletions: count('entry_deletions') };
    sqlite.close();
    return { ...counts, bytes: statSync(next).size };
  } finally {
    if (sqlite.isOpen) sqlite.close();
  }
}

/**
 * Requests that the old database could not explain are no sign for the new one. A peer may have got a new database since the
 * backup, and a cursor that its database never had ends the `p2p-serve` of `rr`, so the next round starts with a probe.
 */
const RESET_SQL = `
DELETE FROM rustory_p2p_high_requests;
DELETE FROM rustory_p2p_pull_state;
INSERT INTO rustory_p2p_pull_state(peer_id, state_json)
  SELECT peer_id, '{"startsWithProbe":true,"unansweredUnixSeconds":[]}'
  FROM (SELECT peer_id FROM peer_state UNION SELECT peer_id FROM peer_delete_state) WHERE peer_id IS NOT NULL;`;

function describeFailure(path: string, name: string, error: unknown): unknown {
  if (error instanceof DatabaseFileError) return error;
  if (error instanceof SchemaError)
    return new DatabaseFileError(
      `${name}: ${error.message}, so that it was written by a newer or another program. Nothing was changed.`,
      'Update rustory-peer.',
      error,
    );
  const code = errorCode(error);
  const sqliteCode =
    typeof error === 'object' && error !== null && 'errcode' in error ? Number(error.errcode) & 0xff : 0;
  if (code === 'ENOSPC' || code === 'EDQUOT' || sqliteCode === 13)
    return noSpace(path, undefined, undefined, error);
  if (sqliteCode === 11 || sqliteCode === 26)
    return new DatabaseFileError(
      `${name} is damaged: ${String(error)}. Nothing was changed.`,
      'Use another backup.',
      error,
    );
  return error;
}
