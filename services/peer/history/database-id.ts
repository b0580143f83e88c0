// The id of this database: 32 random hex digits, which a copy of the file has too. The peer id of a hub follows from it.
import { randomBytes } from 'node:crypto';
import type { Database } from './database.ts';

const ID_BYTES = 16;

/** The id of the database; `undefined` when it has none yet. */
export function readDatabaseId({ sqlite, read }: Database): string | undefined {
  return read(() => {
    const id = sqlite.prepare('SELECT id FROM rustory_p2p_database').get()?.['id'];
    return typeof id === 'string' ? id : undefined;
  });
}

/** The id of the database, which is created at the first call. */
export function ensureDatabaseId(database: Database): string {
  return readDatabaseId(database) ?? writeId(database, 'DO NOTHING');
}

/** Gives the database a new id. */
export function renewDatabaseId(database: Database): string {
  return writeId(database, 'DO UPDATE SET id = excluded.id');
}

function writeId(database: Database, onConflict: string): string {
  const id = randomBytes(ID_BYTES).toString('hex');
  return database.write(() => {
    database.sqlite
      .prepare(
        `INSERT INTO rustory_p2p_database(singleton, id) VALUES (1, ?) ON CONFLICT(singleton) ${onConflict}`,
      )
      .run(id);
    return readDatabaseId(database) ?? id;
  });
}
