// The user whose hub has used a database. A hub gives everything in its database to all devices of its user, so it must not
// be started with that of another one: a backup, a volume or a path that was mixed up would show one user's commands to another.
import type { DatabaseSync } from 'node:sqlite';
import { refused, type Result } from '../../shared/result.ts';
import type { Database } from './database.ts';

const READ_SQL = "SELECT value FROM rustory_p2p_database WHERE name = 'user'";

export function readHubUser(sqlite: DatabaseSync): string | undefined {
  const value = sqlite.prepare(READ_SQL).get()?.['value'];
  return typeof value === 'string' ? value : undefined;
}

/** To be called in a transaction, or for a file that nobody else uses. */
export function noteHubUser(sqlite: DatabaseSync, userId: string): void {
  sqlite
    .prepare(
      `INSERT INTO rustory_p2p_database(name, value) VALUES ('user', ?)
       ON CONFLICT(name) DO UPDATE SET value = excluded.value WHERE value <> excluded.value`,
    )
    .run(userId);
}

/**
 * The user to whom the entries belong, if that is another one: the user of the hub that used the database last, or the user of
 * an entry when no entry belongs to this user. Devices may have entries from before their user was renamed.
 */
export function findOtherUser(sqlite: DatabaseSync, userId: string): string | undefined {
  const known = readHubUser(sqlite);
  if (known === userId) return undefined;
  const first = sqlite.prepare('SELECT user_id FROM entries LIMIT 1').get();
  if (first === undefined) return undefined;
  if (known !== undefined) return known;
  const own = sqlite.prepare('SELECT 1 FROM entries WHERE user_id = ? LIMIT 1').get(userId);
  return own === undefined ? String(first['user_id']) : undefined;
}

/** Remembers the user of a hub that starts. @throws DatabaseError */
export function claimForUser(
  { sqlite, write }: Database,
  userId: string,
): Result<object, 'other_user', { readonly otherUser: string }> {
  return write(() => {
    const otherUser = findOtherUser(sqlite, userId);
    if (otherUser !== undefined) return { ...refused('other_user'), otherUser };
    noteHubUser(sqlite, userId);
    return { ok: true };
  });
}
