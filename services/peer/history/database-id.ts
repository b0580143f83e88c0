// The id of a database: random, kept in the database itself, and created for hubs. The identity of a hub follows from it,
// because `rr` remembers per peer id how far it has pushed and pulled, and never goes back: a database that is new or was
// restored has another id, so that every device syncs with it from the start.
import { randomBytes } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import type { Database } from './database.ts';

/** Random bytes of an id. */
const ID_BYTES = 16;

const ID_PATTERN = /^[0-9a-f]{32}$/;

const READ_SQL = "SELECT value FROM rustory_p2p_database WHERE name = 'id'";

/** The id of the database: 32 hexadecimal digits. `undefined` when it has none. @throws DatabaseError */
export function readDatabaseId({ sqlite, read }: Database): string | undefined {
  return read(() => {
    const value = sqlite.prepare(READ_SQL).get()?.['value'];
    return typeof value === 'string' && ID_PATTERN.test(value) ? value : undefined;
  });
}

/** The id of the database, which is created if there is none. @throws DatabaseError */
export function ensureDatabaseId(database: Database): string {
  return (
    readDatabaseId(database) ??
    writeDurably(database, () => readDatabaseId(database) ?? writeNewId(database.sqlite))
  );
}

/**
 * Gives the database a new id, and forgets the requests that the old one could not explain. A hub that is running ends
 * itself, and has a new peer id when it is started again.
 *
 * @throws DatabaseError
 */
export function renewDatabaseId(database: Database): string {
  return writeDurably(database, () => {
    database.sqlite.exec('DELETE FROM rustory_p2p_high_requests');
    return writeNewId(database.sqlite);
  });
}

/** Gives the database of an open transaction a new id. */
export function writeNewId(sqlite: DatabaseSync): string {
  const id = randomBytes(ID_BYTES).toString('hex');
  sqlite
    .prepare(
      `INSERT INTO rustory_p2p_database(name, value) VALUES ('id', ?)
       ON CONFLICT(name) DO UPDATE SET value = excluded.value`,
    )
    .run(id);
  return id;
}

/** Takes the id from a copy, so that a hub which is started with it creates another one. */
export function removeId(sqlite: DatabaseSync): void {
  sqlite.exec("DELETE FROM rustory_p2p_database WHERE name = 'id'");
}

/** Writes in a transaction that a power failure does not undo: devices may already have seen the new peer id. */
function writeDurably<T>({ sqlite, read, write }: Database, work: () => T): T {
  const before = Number(read(() => sqlite.prepare('PRAGMA synchronous').get())?.['synchronous']);
  sqlite.exec('PRAGMA synchronous = FULL');
  try {
    return write(work);
  } finally {
    sqlite.exec(`PRAGMA synchronous = ${before}`);
  }
}
