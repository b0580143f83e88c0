// What a restore takes from the database that it replaces: the devices that `rr` removed from the user's network, because
// a removed device must not come back with an older copy, and the user of the hub, who must not get the history of another.
import { existsSync } from 'node:fs';
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { hasTable } from './database-files.ts';
import { readHubUser } from './hub-user.ts';

/** Wait for another process, in milliseconds. */
const BUSY_TIMEOUT_MS = 5_000;

const COLUMNS = ['peer_id', 'device_id', 'user_id', 'revoked_at', 'ticket_id'] as const;

export interface OldDatabase {
  readonly revocations: ReadonlyArray<Record<string, SQLOutputValue>>;
  /** Whether it has an id, so that only hubs, which notice that their file is replaced, have it open. */
  readonly isOfHub: boolean;
  /** The user of the hub, if a hub was started with it. */
  readonly hubUser: string | undefined;
}

/** What is known of the database; nothing when there is none, or when it cannot be read. */
export function readOldDatabase(path: string): OldDatabase {
  const nothing: OldDatabase = { revocations: [], isOfHub: false, hubUser: undefined };
  let sqlite: DatabaseSync | undefined;
  try {
    if (!existsSync(path)) return nothing;
    // Not only for reading: the last process that closes the database would leave its log behind.
    sqlite = new (process.getBuiltinModule('node:sqlite').DatabaseSync)(path, { timeout: BUSY_TIMEOUT_MS });
    const isOfHub =
      hasTable(sqlite, 'rustory_p2p_database') &&
      sqlite.prepare("SELECT 1 FROM rustory_p2p_database WHERE name = 'id'").get() !== undefined;
    return {
      revocations: readRevocations(sqlite),
      isOfHub,
      hubUser: isOfHub ? readHubUser(sqlite) : undefined,
    };
  } catch {
    return nothing;
  } finally {
    sqlite?.close();
  }
}

function readRevocations(sqlite: DatabaseSync): OldDatabase['revocations'] {
  if (!hasTable(sqlite, 'peer_revocations')) return [];
  return sqlite.prepare(`SELECT ${COLUMNS.join(', ')} FROM peer_revocations`).all();
}

export function writeRevocations(sqlite: DatabaseSync, { revocations }: OldDatabase): void {
  const insert = sqlite.prepare(
    `INSERT INTO peer_revocations(${COLUMNS.join(', ')}) VALUES (?, ?, ?, ?, ?) ON CONFLICT(peer_id) DO NOTHING`,
  );
  for (const row of revocations) insert.run(...COLUMNS.map((column) => row[column] ?? null));
}
