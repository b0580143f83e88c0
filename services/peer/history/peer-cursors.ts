// The positions in the histories of peers: up to where their entries and deletions are stored here (pull cursors), and
// up to where they have those of this device (push cursors). A cursor belongs to a database, not to a peer id: when a peer
// has another database, all of them become 0 together.
import type { Database } from './database.ts';

/** A position in a database: an `ingest_seq` and a `delete_seq`; 0 is the position before the first one. */
export interface Cursors {
  readonly cursor: number;
  readonly deleteCursor: number;
}

/** Cursors of which each may be absent. */
export type SomeCursors = { readonly [Name in keyof Cursors]?: Cursors[Name] | undefined };

/** The pull cursors of a peer, with the entry at which the cursor stands. */
export interface PullPosition extends Cursors {
  /** The id of that entry as the peer sent it; `undefined` when this peer did not write the cursor. */
  readonly entryId: string | undefined;
}

/** A position of which each part may be absent. */
export type SomePosition = { readonly [Name in keyof PullPosition]?: PullPosition[Name] | undefined };

/** What a requester remembers about a peer between two rounds. */
export interface PullState {
  /** Whether the next round starts with a probe. */
  readonly startsWithProbe: boolean;
  /** When the cursors of this device were sent to the peer and got no answer, in Unix seconds, oldest first. */
  readonly unansweredUnixSeconds: readonly number[];
  /** When the history of the peer was last requested from the start, because it has another database. */
  readonly restartedUnixSeconds?: number | undefined;
}

const INITIAL_STATE: PullState = { startsWithProbe: false, unansweredUnixSeconds: [] };

/** Maximum stored times of one peer, the latest ones: more than the rule about unanswered cursors requires. */
const MAX_UNANSWERED = 16;

export interface PeerCursors {
  /** The pull cursors of a peer. */
  of(peerId: string): Cursors;
  all(): Array<{ readonly peerId: string } & Cursors>;
  /** The same, with the entry. */
  position(peerId: string): PullPosition;
  /**
   * Sets what is given of the position of a peer, if it still is the one that was read: another process may pull from the
   * same peer. To be called in a transaction.
   *
   * @param read `undefined`: whatever it is now
   * @returns whether it was set
   */
  move(peerId: string, to: SomePosition, read?: PullPosition): boolean;
  acknowledge(peerId: string, cursors: SomeCursors): void;
  reset(peerId: string, read?: PullPosition): boolean;
  state(peerId: string): PullState;
  setState(peerId: string, state: PullState): void;
}

const PULL_TABLES = [
  ['peer_state', 'last_cursor'],
  ['peer_delete_state', 'last_delete_cursor'],
] as const;
/** These columns contain numbers of this database. */
export const PUSH_TABLES = [
  ['peer_push_state', 'last_pushed_seq'],
  ['peer_delete_push_state', 'last_pushed_delete_seq'],
] as const;

/** Counts that the cursors of a peer were set back, so that an answer to an earlier push does not move them. */
const COUNT_RESET_SQL = `INSERT INTO rustory_p2p_syncs(peer_id, resets) VALUES (?, 1)
  ON CONFLICT(peer_id) DO UPDATE SET resets = resets + 1`;

/** A cursor. `rr` stores any 64-bit one that a peer sends. A number that no peer can have is position 0. */
const cursorSql = (column: string): string =>
  `CASE WHEN typeof(${column}) = 'integer' AND ${column} BETWEEN 0 AND ${Number.MAX_SAFE_INTEGER} THEN ${column} ELSE 0 END`;

type Tables = typeof PULL_TABLES | typeof PUSH_TABLES;

/** The columns `cursor` and `deleteCursor` of the peer in the first parameter. */
export const cursorsSql = ([[entries, cursor], [deletions, deleteCursor]]: Tables): string =>
  `coalesce((SELECT ${cursorSql(cursor)} FROM ${entries} WHERE peer_id = ?1), 0) AS cursor,
   coalesce((SELECT ${cursorSql(deleteCursor)} FROM ${deletions} WHERE peer_id = ?1), 0) AS deleteCursor`;

/** The cursors of all peers. */
export const allCursorsSql = ([[entries, cursor], [deletions, deleteCursor]]: Tables): string =>
  `SELECT peer_id AS peerId, ${cursorSql(cursor)} AS cursor, ${cursorSql(deleteCursor)} AS deleteCursor
   FROM (SELECT peer_id FROM ${entries} UNION SELECT peer_id FROM ${deletions})
   LEFT JOIN ${entries} USING (peer_id) LEFT JOIN ${deletions} USING (peer_id) ORDER BY peer_id`;

/** Two processes may answer the same peer, so what it acknowledged only moves forward. */
export const forwardSql = ([table, column]: readonly [string, string]): string =>
  `INSERT INTO ${table}(peer_id, ${column}) VALUES (?, ?)
   ON CONFLICT(peer_id) DO UPDATE SET ${column} = max(${column}, excluded.${column})`;

const setSql = ([table, column]: readonly [string, string]): string =>
  `INSERT INTO ${table}(peer_id, ${column}) VALUES (?, ?)
   ON CONFLICT(peer_id) DO UPDATE SET ${column} = excluded.${column}`;

export function createPeerCursors(
  { sqlite, read, write, writeNow }: Database,
  highestStored: () => Cursors,
): PeerCursors {
  const statements = read(() => ({
    of: sqlite.prepare(`SELECT ${cursorsSql(PULL_TABLES)}`),
    pushed: sqlite.prepare(`SELECT ${cursorsSql(PUSH_TABLES)}`),
    all: sqlite.prepare(allCursorsSql(PULL_TABLES)),
    // `rr` may have moved the cursor in a shared database, so that the entry belongs to another position.
    // As bytes, because Node.js 22 ends a text at the first NUL.
    anchor: sqlite.prepare(
      'SELECT CAST(entry_id AS BLOB) AS entryId FROM rustory_p2p_pull_anchors WHERE peer_id = ? AND cursor = ?',
    ),
    setAnchor: sqlite.prepare(
      `INSERT INTO rustory_p2p_pull_anchors(peer_id, cursor, entry_id) VALUES (?, ?, ?)
       ON CONFLICT(peer_id) DO UPDATE SET cursor = excluded.cursor, entry_id = excluded.entry_id`,
    ),
    removeAnchor: sqlite.prepare('DELETE FROM rustory_p2p_pull_anchors WHERE peer_id = ?'),
    pull: PULL_TABLES.map((table) => sqlite.prepare(setSql(table))),
    push: PUSH_TABLES.map((table) => sqlite.prepare(forwardSql(table))),
    reset: [...PULL_TABLES, ...PUSH_TABLES].map(([table, column]) =>
      sqlite.prepare(`UPDATE ${table} SET ${column} = 0 WHERE peer_id = ?`),
    ),
    countReset: sqlite.prepare(COUNT_RESET_SQL),
    state: sqlite.prepare('SELECT state_json FROM rustory_p2p_pull_state WHERE peer_id = ?'),
    setState: sqlite.prepare(
      `INSERT INTO rustory_p2p_pull_state(peer_id, state_json) VALUES (?, ?)
       ON CONFLICT(peer_id) DO UPDATE SET state_json = excluded.state_json`,
    ),
  }));

  const of = (peerId: string): Cursors => statements.of.get(peerId) as unknown as Cursors;

  function position(peerId: string): PullPosition {
    const cursors = of(peerId);
    const bytes = statements.anchor.get(peerId, cursors.cursor)?.['entryId'];
    return {
      ...cursors,
      entryId: bytes instanceof Uint8Array ? Buffer.from(bytes).toString('utf8') : undefined,
    };
  }

  function isAt(peerId: string, { cursor, deleteCursor, entryId }: PullPosition): boolean {
    const current = position(peerId);
    return current.cursor === cursor && current.deleteCursor === deleteCursor && current.entryId === entryId;
  }

  function set(which: 'pull' | 'push', peerId: string, { cursor, deleteCursor }: SomeCursors): void {
    for (const [kind, value] of [cursor, deleteCursor].entries())
      if (value !== undefined) statements[which][kind]?.run(peerId, value);
  }

  return {
    of: (peerId) => read(() => of(peerId)),
    position: (peerId) => read(() => position(peerId)),
    all: () => read(() => statements.all.all() as unknown as ReturnType<PeerCursors['all']>),
    move(peerId, to, expected) {
      if (expected !== undefined && !isAt(peerId, expected)) return false;
      set('pull', peerId, to);
      if (to.entryId !== undefined) statements.setAnchor.run(peerId, of(peerId).cursor, to.entryId);
      return true;
    },
    acknowledge(peerId, cursors) {
      const known = read(() => statements.pushed.get(peerId) as unknown as Cursors);
      // Most pulls repeat the cursors of the previous one.
      if ((cursors.cursor ?? 0) <= known.cursor && (cursors.deleteCursor ?? 0) <= known.deleteCursor) return;
      // Not stored while another process writes. The next pull acknowledges the same.
      writeNow(() => {
        const highest = highestStored();
        const plausible = (name: keyof Cursors): number | undefined => {
          const value = cursors[name];
          // Position 0 acknowledges nothing.
          return value === undefined || value <= 0 || value > highest[name] ? undefined : value;
        };
        set('push', peerId, {
          cursor: plausible('cursor'),
          deleteCursor: plausible('deleteCursor'),
        });
      });
    },
    reset: (peerId, expected) =>
      write(() => {
        if (expected !== undefined && !isAt(peerId, expected)) return false;
        for (const statement of statements.reset) statement.run(peerId);
        statements.removeAnchor.run(peerId);
        statements.countReset.run(peerId);
        return true;
      }),
    state: (peerId) => read(() => readState(statements.state.get(peerId)?.['state_json'])),
    setState: (peerId, state) =>
      write(() => {
        const unansweredUnixSeconds = state.unansweredUnixSeconds.slice(-MAX_UNANSWERED);
        statements.setState.run(peerId, JSON.stringify({ ...state, unansweredUnixSeconds }));
      }),
  };
}

function readState(json: unknown): PullState {
  if (typeof json !== 'string') return INITIAL_STATE;
  try {
    const stored = JSON.parse(json) as Record<string, unknown>;
    const { startsWithProbe, unansweredUnixSeconds: times, restartedUnixSeconds: restarted } = stored;
    return {
      startsWithProbe: startsWithProbe === true,
      ...(Number.isSafeInteger(restarted) ? { restartedUnixSeconds: Number(restarted) } : {}),
      unansweredUnixSeconds: Array.isArray(times) ? times.filter((time) => Number.isSafeInteger(time)) : [],
    };
  } catch {
    // Another program wrote it. The worst case is one request too many.
    return INITIAL_STATE;
  }
}
