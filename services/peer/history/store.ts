// The entries and how far each peer has been read. Owns the promise that a cursor moves only together with the
// batch it stands for, so that a crash at any point loses nothing and repeats nothing.
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

/** An entry with its place in this database's order of arrival. */
export interface StoredEntry {
  readonly seq: number;
  readonly entry: Entry;
}

export interface InsertCounts {
  readonly inserted: number;
  /** Entries whose id was there already (or was deleted here by `rr`). */
  readonly duplicates: number;
}

/** How far a peer's history has been read. */
export interface PeerCursor {
  readonly peerId: string;
  /** The peer's own `ingest_seq` of the last entry we have of it; 0 before the first. */
  readonly cursor: number;
}

export interface Store {
  /** Adds entries that are not there yet, and moves the peer's cursor with them: both, or on an error neither. */
  insert(entries: readonly Entry[], cursor?: PeerCursor): InsertCounts;
  /**
   * Hands over entries after `seq`, oldest first, at most `limit`, until `visit` answers false. Everything
   * happens before it returns, so no reader ever holds a transaction open.
   */
  readAfter(seq: number, limit: number, visit: (stored: StoredEntry) => boolean): void;
  /** The `ingest_seq` after which the last `count` entries come. */
  startOfLast(count: number): number;
  /** How many entries there are, of how many devices, and the highest `ingest_seq`. */
  summary(): { readonly entries: number; readonly devices: number; readonly lastSeq: number };
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
    // Two processes may read from the same peer: the cursor only ever moves forward.
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
        for (const { ingest_seq: at, ...row } of statements.page.iterate(seq, limit))
          if (!visit({ seq: Number(at), entry: row as unknown as Entry })) break;
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

/** Newer `rr` keeps the ids of deleted entries; what its user deleted must not come back by a sync. */
function hasDeletions({ sqlite }: Database): boolean {
  return sqlite.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'entry_deletions'").get() !== undefined;
}

// Only a known id is passed over; any other conflict is an error (`INSERT OR IGNORE` would swallow those too).
function insertSql(withDeletions: boolean): string {
  const placeholders = COLUMNS.map((_, position) => `?${position + 1}`).join(', ');
  const values = withDeletions
    ? `SELECT ${placeholders} WHERE NOT EXISTS (SELECT 1 FROM entry_deletions WHERE entry_id = ?1)`
    : `VALUES (${placeholders})`;
  return `INSERT INTO entries (${COLUMNS.join(', ')}) ${values} ON CONFLICT(entry_id) DO NOTHING`;
}
