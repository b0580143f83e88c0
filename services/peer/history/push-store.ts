// What this device pushes: its own entries and deletions, the position up to which each peer has them, and how the last
// sync with each peer ended. The push cursors are those of `rr`, which may push from the same database.
import type { Database } from './database.ts';
import { type Deletion, readDeletion } from './deletion.ts';
import { createDeletions, DELETION_COLUMNS_SQL, readDeletionRow } from './deletions.ts';
import type { Entry } from './entry.ts';
import { ENTRY_COLUMNS_SQL, NOT_DELETED_SQL, readRow } from './entry-rows.ts';
import {
  allCursorsSql,
  type Cursors,
  cursorsSql,
  forwardSql,
  PUSH_TABLES,
  type SomeCursors,
} from './peer-cursors.ts';

/** Maximum peers of which the last sync is remembered, those with the latest one. */
const MAX_REMEMBERED = 4_096;

/** How the last push to a peer ended. */
export const PUSH_STATES = ['ok', 'unfinished', 'refused', 'failed', 'unsupported', 'not allowed'] as const;
export type PushState = (typeof PUSH_STATES)[number];

/** Whose entries and deletions are pushed. */
export interface Owner {
  readonly userId: string;
  readonly deviceId: string;
}

/** The push cursors of a peer. */
export interface PushPosition extends Cursors {
  /** How often the cursors were set back, because the peer had a new database. */
  readonly resets: number;
}

/** What was synced with a peer, and when, in Unix seconds. */
export interface SyncRecord {
  readonly peerId: string;
  /** When a pull from the peer last completed. */
  readonly pulledUnixSeconds: number | undefined;
  /** When a push to the peer last ended, and how. */
  readonly pushUnixSeconds: number | undefined;
  readonly pushState: PushState | undefined;
  /** Why the push did not complete, as a whole sentence. */
  readonly pushProblem: string | undefined;
  /** When a tracker last listed the peer as a hub. */
  readonly hubUnixSeconds: number | undefined;
}

/** Parts of a record; those that are absent do not change. */
export type SyncChange = Pick<SyncRecord, 'peerId'> &
  Partial<Pick<SyncRecord, 'pulledUnixSeconds' | 'hubUnixSeconds'>> & {
    readonly push?: Pick<SyncRecord, 'pushState' | 'pushProblem'> & { readonly unixSeconds: number };
  };

/** Rows of this device that a peer does not have yet, as far as this device knows. */
export interface Backlog {
  readonly entries: number;
  readonly deletions: number;
}

/** Calls `visit` with the rows after a number, in their order, until it returns false. Rows that cannot be sent are left out. */
export type ReadRows<T> = (owner: Owner, after: number, visit: (seq: number, row: T) => boolean) => void;

export interface PushStore {
  position(peerId: string): PushPosition;
  /** The peers that have push cursors, with these. */
  positions(): Array<{ readonly peerId: string } & Cursors>;
  /**
   * Moves push cursors forward, unless they were set back since the position was read: then the answer came from the
   * database that the peer had before. Other processes may have moved them forward.
   *
   * @returns whether the cursors are at or above `to` now
   */
  move(peerId: string, read: PushPosition, to: SomeCursors): boolean;
  /** The highest `ingest_seq` and `delete_seq` of all rows. */
  highest(): Cursors;
  readEntries: ReadRows<Entry>;
  readDeletions: ReadRows<Deletion>;
  /** The rows after these cursors. */
  backlog(owner: Owner, after: Cursors): Backlog;
  records(): Map<string, SyncRecord>;
  /** Stores how syncs ended. */
  record(changes: readonly SyncChange[]): void;
}

export function createPushStore(database: Database): PushStore {
  const { sqlite, read, write } = database;
  const deletions = createDeletions(database);
  const own = 'device_id = ?1 AND user_id = ?2';
  const statements = read(() => ({
    position: sqlite.prepare(
      `SELECT ${cursorsSql(PUSH_TABLES)}, coalesce((SELECT resets FROM rustory_p2p_syncs WHERE peer_id = ?1), 0) AS resets`,
    ),
    positions: sqlite.prepare(allCursorsSql(PUSH_TABLES)),
    forward: PUSH_TABLES.map((table) => sqlite.prepare(forwardSql(table))),
    highest: sqlite.prepare(
      `SELECT coalesce((SELECT max(ingest_seq) FROM entries), 0) AS cursor,
         coalesce((SELECT max(delete_seq) FROM entry_deletions), 0) AS deleteCursor`,
    ),
    entries: sqlite.prepare(
      `SELECT ingest_seq, ${ENTRY_COLUMNS_SQL} FROM entries
       WHERE ${own} AND ingest_seq > ?3 AND ${NOT_DELETED_SQL} ORDER BY ingest_seq`,
    ),
    deletions: sqlite.prepare(
      `SELECT ${DELETION_COLUMNS_SQL} FROM entry_deletions WHERE ${own} AND delete_seq > ?3 ORDER BY delete_seq`,
    ),
    countEntries: sqlite.prepare(
      `SELECT count(*) AS count FROM entries WHERE ${own} AND ingest_seq > ?3 AND ${NOT_DELETED_SQL}`,
    ),
    countDeletions: sqlite.prepare(
      `SELECT count(*) AS count FROM entry_deletions WHERE ${own} AND delete_seq > ?3`,
    ),
    records: sqlite.prepare(
      'SELECT peer_id, pulled_at, push_at, push_state, push_problem, hub_at FROM rustory_p2p_syncs',
    ),
    recordPull: sqlite.prepare(
      `INSERT INTO rustory_p2p_syncs(peer_id, pulled_at) VALUES (?1, ?2)
       ON CONFLICT(peer_id) DO UPDATE SET pulled_at = excluded.pulled_at`,
    ),
    recordHub: sqlite.prepare(
      `INSERT INTO rustory_p2p_syncs(peer_id, hub_at) VALUES (?1, ?2)
       ON CONFLICT(peer_id) DO UPDATE SET hub_at = excluded.hub_at`,
    ),
    recordPush: sqlite.prepare(
      `INSERT INTO rustory_p2p_syncs(peer_id, push_at, push_state, push_problem) VALUES (?1, ?2, ?3, ?4)
       ON CONFLICT(peer_id) DO UPDATE SET push_at = excluded.push_at, push_state = excluded.push_state,
         push_problem = excluded.push_problem`,
    ),
    trim: sqlite.prepare(
      `DELETE FROM rustory_p2p_syncs WHERE peer_id IN (SELECT peer_id FROM rustory_p2p_syncs
         ORDER BY max(coalesce(pulled_at, 0), coalesce(push_at, 0), coalesce(hub_at, 0)) DESC LIMIT -1 OFFSET ${MAX_REMEMBERED})`,
    ),
  }));

  const position = (peerId: string): PushPosition =>
    statements.position.get(peerId) as unknown as PushPosition;

  const count = (name: 'countEntries' | 'countDeletions', owner: Owner, after: number): number =>
    Number(statements[name].get(owner.deviceId, owner.userId, after)?.['count']);

  return {
    position: (peerId) => read(() => position(peerId)),
    positions: () => read(() => statements.positions.all() as unknown as ReturnType<PushStore['positions']>),
    move(peerId, from, { cursor, deleteCursor }) {
      return write(() => {
        const current = position(peerId);
        const wasSetBack =
          current.resets !== from.resets ||
          current.cursor < from.cursor ||
          current.deleteCursor < from.deleteCursor;
        if (wasSetBack) return false;
        for (const [kind, value] of [cursor, deleteCursor].entries())
          if (value !== undefined && value > 0) statements.forward[kind]?.run(peerId, value);
        return true;
      });
    },
    highest: () => read(() => statements.highest.get() as unknown as Cursors),
    readEntries({ deviceId, userId }, after, visit) {
      read(() => {
        for (const row of statements.entries.iterate(deviceId, userId, after)) {
          const checked = readRow(row);
          if (checked.ok && !visit(Number(row['ingest_seq']), checked.entry)) break;
        }
      });
    },
    readDeletions({ deviceId, userId }, after, visit) {
      deletions.complete();
      read(() => {
        for (const row of statements.deletions.iterate(deviceId, userId, after)) {
          const stored = readDeletionRow(row);
          const deletion = readDeletion(stored.deletion);
          if (deletion !== undefined && !visit(stored.seq, deletion)) break;
        }
      });
    },
    backlog: (owner, after) =>
      read(() => ({
        entries: count('countEntries', owner, after.cursor),
        deletions: count('countDeletions', owner, after.deleteCursor),
      })),
    records: () =>
      read(() => new Map(statements.records.all().map((row) => [String(row['peer_id']), readRecord(row)]))),
    record(changes) {
      if (changes.length === 0) return;
      write(() => {
        for (const { peerId, pulledUnixSeconds, hubUnixSeconds, push } of changes) {
          if (pulledUnixSeconds !== undefined) statements.recordPull.run(peerId, pulledUnixSeconds);
          if (hubUnixSeconds !== undefined) statements.recordHub.run(peerId, hubUnixSeconds);
          if (push !== undefined)
            statements.recordPush.run(
              peerId,
              push.unixSeconds,
              push.pushState ?? null,
              push.pushProblem ?? null,
            );
        }
        statements.trim.run();
      });
    },
  };
}

function readRecord(row: Readonly<Record<string, unknown>>): SyncRecord {
  return {
    peerId: String(row['peer_id']),
    pulledUnixSeconds: numberOf(row['pulled_at']),
    pushUnixSeconds: numberOf(row['push_at']),
    pushState: PUSH_STATES.find((state) => state === row['push_state']),
    hubUnixSeconds: numberOf(row['hub_at']),
    pushProblem: typeof row['push_problem'] === 'string' ? row['push_problem'] : undefined,
  };
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}
