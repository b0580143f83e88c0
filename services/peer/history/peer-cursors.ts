// The positions in the histories of peers: up to where their entries and deletions are stored here (pull cursors), and
// up to where they have those of this device (push cursors). They move forward, except when a peer has a new database.
import type { Database } from './database.ts';

/** A position in a database: an `ingest_seq` and a `delete_seq`; 0 is the position before the first one. */
export interface Cursors {
  readonly cursor: number;
  readonly deleteCursor: number;
}

/** Cursors of which each may be absent. */
export type SomeCursors = { readonly [Name in keyof Cursors]?: Cursors[Name] | undefined };

/** What a requester remembers about a peer between two rounds. */
export interface PullState {
  /** Whether the next round starts with a probe. */
  readonly startsWithProbe: boolean;
  /** When the cursors of this device were sent to the peer and got no answer, in Unix seconds, oldest first. */
  readonly unansweredUnixSeconds: readonly number[];
}

const INITIAL_STATE: PullState = { startsWithProbe: false, unansweredUnixSeconds: [] };

/** Maximum stored times of one peer, the latest ones: more than the rule about unanswered cursors requires. */
const MAX_UNANSWERED = 16;

export interface PeerCursors {
  /** The pull cursors of a peer. */
  of(peerId: string): Cursors;
  all(): Array<{ readonly peerId: string } & Cursors>;
  /** Moves the pull cursors of a peer forward. To be called in a transaction. */
  advance(peerId: string, to: SomeCursors): void;
  highestStored(): Cursors;
  acknowledge(peerId: string, cursors: SomeCursors): void;
  reset(peerId: string): void;
  state(peerId: string): PullState;
  setState(peerId: string, state: PullState): void;
}

const PULL_TABLES = [
  ['peer_state', 'last_cursor'],
  ['peer_delete_state', 'last_delete_cursor'],
] as const;
const PUSH_TABLES = [
  ['peer_push_state', 'last_pushed_seq'],
  ['peer_delete_push_state', 'last_pushed_delete_seq'],
] as const;

/** Two processes may pull from the same peer, so a cursor only moves forward. */
const advanceSql = ([table, column]: readonly [string, string]): string =>
  `INSERT INTO ${table}(peer_id, ${column}) VALUES (?, ?)
   ON CONFLICT(peer_id) DO UPDATE SET ${column} = max(${column}, excluded.${column})`;

export function createPeerCursors({ sqlite, read, write }: Database): PeerCursors {
  const statements = read(() => ({
    of: sqlite.prepare(
      `SELECT coalesce((SELECT last_cursor FROM peer_state WHERE peer_id = ?1), 0) AS cursor,
         coalesce((SELECT last_delete_cursor FROM peer_delete_state WHERE peer_id = ?1), 0) AS deleteCursor`,
    ),
    all: sqlite.prepare(
      `SELECT peer_id AS peerId, coalesce(last_cursor, 0) AS cursor, coalesce(last_delete_cursor, 0) AS deleteCursor
       FROM (SELECT peer_id FROM peer_state UNION SELECT peer_id FROM peer_delete_state)
       LEFT JOIN peer_state USING (peer_id) LEFT JOIN peer_delete_state USING (peer_id) ORDER BY peer_id`,
    ),
    pull: PULL_TABLES.map((table) => sqlite.prepare(advanceSql(table))),
    push: PUSH_TABLES.map((table) => sqlite.prepare(advanceSql(table))),
    reset: [...PULL_TABLES, ...PUSH_TABLES].map(([table, column]) =>
      sqlite.prepare(`UPDATE ${table} SET ${column} = 0 WHERE peer_id = ?`),
    ),
    // Not the highest number of a row, because the rows with the highest numbers may have been deleted.
    highest: sqlite.prepare(
      `SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'entries'), 0) AS cursor,
         coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'entry_deletions'), 0) AS deleteCursor`,
    ),
    state: sqlite.prepare('SELECT state_json FROM rustory_p2p_pull_state WHERE peer_id = ?'),
    setState: sqlite.prepare(
      `INSERT INTO rustory_p2p_pull_state(peer_id, state_json) VALUES (?, ?)
       ON CONFLICT(peer_id) DO UPDATE SET state_json = excluded.state_json`,
    ),
  }));

  const highestStored = (): Cursors => read(() => statements.highest.get() as unknown as Cursors);

  function advance(which: 'pull' | 'push', peerId: string, { cursor, deleteCursor }: SomeCursors): void {
    for (const [kind, value] of [cursor, deleteCursor].entries())
      if (value !== undefined) statements[which][kind]?.run(peerId, value);
  }

  return {
    of: (peerId) => read(() => statements.of.get(peerId) as unknown as Cursors),
    all: () => read(() => statements.all.all() as unknown as ReturnType<PeerCursors['all']>),
    advance: (peerId, to) => advance('pull', peerId, to),
    highestStored,
    acknowledge(peerId, cursors) {
      write(() => {
        const highest = highestStored();
        const plausible = (name: keyof Cursors): number | undefined => {
          const value = cursors[name];
          // Position 0 acknowledges nothing.
          return value === undefined || value <= 0 || value > highest[name] ? undefined : value;
        };
        advance('push', peerId, {
          cursor: plausible('cursor'),
          deleteCursor: plausible('deleteCursor'),
        });
      });
    },
    reset: (peerId) =>
      write(() => {
        for (const statement of statements.reset) statement.run(peerId);
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
    const { startsWithProbe, unansweredUnixSeconds: times } = JSON.parse(json) as Record<string, unknown>;
    return {
      startsWithProbe: startsWithProbe === true,
      unansweredUnixSeconds: Array.isArray(times) ? times.filter((time) => Number.isSafeInteger(time)) : [],
    };
  } catch {
    // Another program wrote it. The worst case is one request too many.
    return INITIAL_STATE;
  }
}
