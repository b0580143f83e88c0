// The devices that `rr` removed from the user's network. A restore keeps those of the database that it replaces, because a
// removed device must not come back with an older copy.
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';

type Row = Record<string, SQLOutputValue>;

/** Wait for another process, in milliseconds. */
const BUSY_TIMEOUT_MS = 5_000;

const COLUMNS = ['peer_id', 'device_id', 'user_id', 'revoked_at', 'ticket_id'] as const;

export interface OldDatabase {
  readonly revocations: readonly Row[];
  /** Whether it has an id, so that only hubs, which notice that their file is replaced, have it open. */
  readonly isOfHub: boolean;
}

/** What is kept of a database; nothing when there is none, or when it cannot be read. */
export function readRevocations(path: string): OldDatabase {
  try {
    const sqlite = new (process.getBuiltinModule('node:sqlite').DatabaseSync)(path, {
      readOnly: true,
      timeout: BUSY_TIMEOUT_MS,
    });
    try {
      const hasTable = (name: string): boolean =>
        sqlite.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").get(name) !==
        undefined;
      return {
        revocations: hasTable('peer_revocations')
          ? sqlite.prepare(`SELECT ${COLUMNS.join(', ')} FROM peer_revocations`).all()
          : [],
        isOfHub:
          hasTable('rustory_p2p_database') &&
          sqlite.prepare("SELECT 1 FROM rustory_p2p_database WHERE name = 'id'").get() !== undefined,
      };
    } finally {
      sqlite.close();
    }
  } catch {
    return { revocations: [], isOfHub: false };
  }
}

export function writeRevocations(sqlite: DatabaseSync, rows: readonly Row[]): void {
  const insert = sqlite.prepare(
    `INSERT INTO peer_revocations(${COLUMNS.join(', ')}) VALUES (?, ?, ?, ?, ?) ON CONFLICT(peer_id) DO NOTHING`,
  );
  for (const row of rows) insert.run(...COLUMNS.map((column) => row[column] ?? null));
}
