// Puts a backup in the place of the database. The copy that takes its place has raised numbers, and that of a hub a new id, so
// that nothing that other devices remember about the old database hides what the new one stores. docs/decisions/backup.md
// tells what happens to each table, and why.
import { chownSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { errorCode } from '../../shared/errors.ts';
import { makePrivateDirectory } from '../../shared/files.ts';
import { quote } from '../../shared/variables.ts';
import type { BackupReport } from './backup.ts';
import { type ContentOptions, writeContent } from './backup-content.ts';
import {
  countRows,
  DatabaseFileError,
  findDamage,
  followLinks,
  hasTable,
  isDiskFull,
  noSpace,
  primaryCode,
  removeDatabase,
  syncToDisk,
  temporaryName,
} from './database-files.ts';
import { removeId, writeNewId } from './database-id.ts';
import { findOtherUser, noteHubUser } from './hub-user.ts';
import { type OldDatabase, readOldDatabase, writeRevocations } from './old-database.ts';
import { replaceDatabase } from './replace-database.ts';
import { prepareSchema, SchemaError } from './schema.ts';
import { raiseSequences } from './sequences.ts';

const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

export interface RestoreReport extends BackupReport {
  /** The path at which the old database is kept; `undefined` when there was none. */
  readonly kept: string | undefined;
}

export interface RestoreOptions extends ContentOptions {
  /** Clock of the machine, in milliseconds since 1970. */
  readonly nowUnixMs: () => number;
  /** Called before each step of the replacement, for tests that end the process there. */
  readonly onStep?: (step: string) => void;
}

/**
 * Replaces the database by the content of a backup. At every moment the database is the old one or the new one; only on a
 * file system without hard links there is none for an instant, and the old one has the name of the kept file.
 *
 * @throws DatabaseFileError when it cannot be restored; nothing was changed then
 */
export async function restoreDatabase(
  given: string,
  content: AsyncIterable<Uint8Array>,
  options: RestoreOptions,
): Promise<RestoreReport> {
  const path = followLinks(given);
  makePrivateDirectory(dirname(path));
  const next = temporaryName(path, 'restore');
  try {
    await writeContent(next, content, options);
    const old = readOldDatabase(path);
    const counts = prepareCopy(next, old, options);
    takeOwner(next, path);
    syncToDisk(next);
    options.signal?.throwIfAborted();
    const suffix = `.replaced-${compactTime(options.nowUnixMs())}`;
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

/** Such as 20261128T103000Z. */
function compactTime(unixMs: number): string {
  return new Date(unixMs).toISOString().replaceAll(/[-:]|\.\d+/g, '');
}

/** Checks the copy, and prepares it for its new life. */
function prepareCopy(next: string, old: OldDatabase, { name, nowUnixMs }: RestoreOptions): BackupReport {
  const sqlite = new (process.getBuiltinModule('node:sqlite').DatabaseSync)(next);
  try {
    sqlite.exec('PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON');
    checkCopy(sqlite, name);
    prepareSchema(sqlite, nowUnixMs);
    checkUser(sqlite, old, name);
    sqlite.exec('BEGIN IMMEDIATE');
    raiseSequences(sqlite, nowUnixMs());
    // Only a hub has one. Without a hub before, a hub that is started with the copy creates it.
    if (old.isOfHub) writeNewId(sqlite);
    else removeId(sqlite);
    writeRevocations(sqlite, old);
    if (old.hubUser !== undefined) noteHubUser(sqlite, old.hubUser);
    sqlite.exec(RESET_SQL);
    sqlite.exec('COMMIT');
    const counts = countRows(sqlite);
    sqlite.close();
    return { ...counts, bytes: statSync(next).size };
  } finally {
    if (sqlite.isOpen) sqlite.close();
  }
}

function checkCopy(sqlite: DatabaseSync, name: string): void {
  const damage = findDamage(sqlite);
  if (damage !== undefined) throw damaged(name, damage);
  if (!hasTable(sqlite, 'entries'))
    throw new DatabaseFileError(
      `${name} is a database of another program: it has no table "entries". Nothing was changed.`,
      { advice: 'Give a file that "rustory-peer backup" wrote.' },
    );
}

function checkUser(sqlite: DatabaseSync, { hubUser }: OldDatabase, name: string): void {
  const other = hubUser === undefined ? undefined : findOtherUser(sqlite, hubUser);
  if (other === undefined) return;
  throw new DatabaseFileError(
    `${name} has the history of user ${quote(other)}, and the hub is that of user ${quote(String(hubUser))}, whose devices would all get it. Nothing was changed.`,
    { advice: 'Give a backup of the hub of this user.' },
  );
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

/** A restore may run as root, and the database belongs to the user of the service. */
function takeOwner(next: string, path: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(path, { throwIfNoEntry: false }) ?? statSync(dirname(path));
  chownSync(next, uid, gid);
}

function damaged(name: string, text: string, cause?: unknown): DatabaseFileError {
  return new DatabaseFileError(`${name} is damaged: ${text}. Nothing was changed.`, {
    advice: 'Use another backup.',
    cause,
  });
}

function describeFailure(path: string, name: string, error: unknown): unknown {
  if (error instanceof DatabaseFileError) return error;
  if (error instanceof SchemaError)
    return new DatabaseFileError(
      `${name}: ${error.message}, so that it was written by a newer or another program. Nothing was changed.`,
      { advice: 'Update rustory-peer.', cause: error },
    );
  if (isDiskFull(error)) return noSpace(path, { cause: error });
  const code = primaryCode(error);
  if (code === SQLITE_CORRUPT || code === SQLITE_NOTADB)
    return damaged(name, error instanceof Error ? error.message : String(error), error);
  return error instanceof Error && Object.hasOwn(constants.errno, errorCode(error))
    ? new DatabaseFileError(
        `${path}: the database cannot be replaced: ${error.message}. Nothing was changed.`,
        {
          cause: error,
          concernsDatabase: true,
        },
      )
    : error;
}
