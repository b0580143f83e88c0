// The entries of the history and the cursor of each peer. A cursor is stored in the same transaction as its batch of
// entries, so that a crash neither loses nor repeats entries.
import type { Database } from './database.ts';
import type { Entry } from './entry.ts';

const COLUMNS = [
  'entry_id',
  'device_id',
  'user_id',
  'ts',
  'cmd',
  'cwd',
  'exit_code',
  'duration_ms',
  'shell',
  'hostname',
  'version',
] as const satisfies ReadonlyArray<keyof Entry>;

/** An entry with its `ingest_seq`: its number in this database, in the order of arrival. */
export interface StoredEntry {
  readonly seq: number;
  readonly entry: Entry;
}

export interface InsertCounts {
  readonly inserted: number;
  /** Entries whose id was already stored, or was deleted here by `rr`. */
  readonly duplicates: number;
}

/** The position in the history of a peer up to which its entries are stored here. */
export interface PeerCursor {
  readonly peerId: string;
  /** The peer's `ingest_seq` of the last entry; 0 before the first. */
  readonly cursor: number;
}

export interface Store {
  /** Stores new entries and the peer's cursor in one transaction. */
  insert(entries: readonly Entry[], cursor?: PeerCursor): InsertCounts;
  /**
   * Calls `visit` with at most `limit` entries after `seq`, oldest first, until it returns false. All calls happen
   * before this returns, so that no reader holds a transaction open.
   */
  readAfter(seq: number, limit: number, visit: (stored: StoredEntry) => boolean): void;
  /** The `ingest_seq` before the last `count` entries. */
  startOfLast(count: number): number;
  /** The number of entries, the number of their devices, and the highest `ingest_seq`. */
  summary(): { readonly entries: number; readonly devices: number; readonly lastSeq: number };
  /** The cursor of a peer; 0 when there is none. */
  cursorOf(peerId: string): number;
  cursors(): PeerCursor[];
}

export function createStore(database: Database): Store {
  const { sqlite } = database;
  const statements = database.read(() => ({
    insert: sqlite.prepare(insertSql(hasDeletions(database))),
    page: sqlite.prepare(
      `SELECT ingest_seq, ${COLUMNS.join(', ')} FROM entries WHERE ingest_seq > ? ORDER BY ingest_seq LIMIT ?`,
    ),
    startOfLast: sqlite.prepare('SELECT ingest_seq FROM entries ORDER BY ingest_seq DESC LIMIT 1 OFFSET ?'),
    summary: sqlite.prepare(
      'SELECT count(*) AS entries, count(DISTINCT device_id) AS devices, coalesce(max(ingest_seq), 0) AS lastSeq FROM entries',
    ),
    cursor: sqlite.prepare('SELECT last_cursor FROM peer_state WHERE peer_id = ?'),
    cursors: sqlite.prepare('SELECT peer_id, last_cursor FROM peer_state ORDER BY peer_id'),
    // Two processes may pull from the same peer, so the cursor only moves forward.
    advance: sqlite.prepare(
      `INSERT INTO peer_state(peer_id, last_cursor) VALUES (?, ?)
       ON CONFLICT(peer_id) DO UPDATE SET last_cursor = max(last_cursor, excluded.last_cursor)`,
    ),
  }));

  return {
    insert(entries, cursor) {
      return database.write(() => {
        let inserted = 0;
        for (const entry of entries) {
          const values = COLUMNS.map((column) => entry[column]);
          inserted += Number(statements.insert.run(...values).changes);
        }
        if (cursor !== undefined) statements.advance.run(cursor.peerId, cursor.cursor);
        return { inserted, duplicates: entries.length - inserted };
      });
    },
    readAfter(seq, limit, visit) {
      database.read(() => {
        for (const { ingest_seq: seqOfRow, ...row } of statements.page.iterate(seq, limit))
          if (!visit({ seq: Number(seqOfRow), entry: row as unknown as Entry })) break;
      });
    },
    startOfLast: (count) =>
      database.read(() => Number(statements.startOfLast.get(count)?.['ingest_seq'] ?? 0)),
    summary: () => database.read(() => statements.summary.get() as ReturnType<Store['summary']>),
    cursorOf: (peerId) => database.read(() => Number(statements.cursor.get(peerId)?.['last_cursor'] ?? 0)),
    cursors: () =>
      database.read(() =>
        statements.cursors
          .all()
          .map((row) => ({ peerId: String(row['peer_id']), cursor: Number(row['last_cursor']) })),
      ),
  };
}

/**
 * Whether the database has the ids of deleted entries. A newer `rr` stores them, so that a sync does not restore
 * entries.
 */
function hasDeletions({ sqlite }: Database): boolean {
  return sqlite.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'entry_deletions'").get() !== undefined;
}

// Only a duplicate id is ignored. `INSERT OR IGNORE` would ignore every other violated constraint too.
function insertSql(withDeletions: boolean): string {
  const placeholders = COLUMNS.map((_, position) => `?${position + 1}`).join(', ');
  const values = withDeletions
    ? `SELECT ${placeholders} WHERE NOT EXISTS (SELECT 1 FROM entry_deletions WHERE entry_id = ?1)`
    : `VALUES (${placeholders})`;
  return `INSERT INTO entries (${COLUMNS.join(', ')}) ${values} ON CONFLICT(entry_id) DO NOTHING`;
}
