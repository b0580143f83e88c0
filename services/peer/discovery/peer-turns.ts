// What this device remembers about its pulls from each peer: whether one ever completed, how the last one ended, and
// when the next one may start. It is kept in the database, because a `sync` may run once per process.
import { type Database, DatabaseError } from '../history/database.ts';

/**
 * Maximum peers that are remembered. Above this limit those are forgotten that never completed a pull and had no turn for
 * the longest time, so that a peer under ever new ids leaves nothing behind.
 */
const MAX_TURNS = 4_096;

/** How the last pull from a peer ended. */
export const TURN_STATES = ['ok', 'slow', 'unfinished', 'failed'] as const;
export type TurnState = (typeof TURN_STATES)[number];

export interface Turn {
  readonly peerId: string;
  /** The number of the last turn, which grows with every turn of any peer. */
  readonly turn: number;
  readonly state: TurnState;
  /** Whether a pull from this peer has ever completed. */
  readonly hasCompleted: 0 | 1;
  /** Consecutive turns that did not complete. */
  readonly misses: number;
  /** Unix seconds before which the peer gets no turn. */
  readonly retryAtUnixSeconds: number;
  /** The addresses and the device id at the last turn, for a comparison. */
  readonly registration: string;
  /** `last_seen_unix` of the record when it was last listed. */
  readonly seenUnixSeconds: number;
  /** When it was last listed, by the clock of this device. */
  readonly listedUnixSeconds: number;
}

export interface PeerTurns {
  all(): Map<string, Turn>;
  /** The peers with which a pull has completed, in this version or, by their cursor, in an earlier one. */
  knownGood(): Set<string>;
  /** Stores these turns. Without a writable database they are forgotten. */
  save(turns: readonly Turn[]): void;
}

/** A query of the peer ids of which a pull has completed. */
export const KNOWN_GOOD_SQL = `
  SELECT peer_id FROM rustory_p2p_peer_turns WHERE completed = 1
  UNION SELECT peer_id FROM peer_state WHERE last_cursor > 0
    AND peer_id NOT IN (SELECT peer_id FROM rustory_p2p_peer_turns)`;

export function createPeerTurns({ sqlite, read, write }: Database): PeerTurns {
  const statements = read(() => ({
    all: sqlite.prepare(
      `SELECT peer_id AS peerId, turn, state, completed = 1 AS hasCompleted, misses, retry_at AS retryAtUnixSeconds, registration,
         seen_at AS seenUnixSeconds, listed_at AS listedUnixSeconds FROM rustory_p2p_peer_turns`,
    ),
    knownGood: sqlite.prepare(KNOWN_GOOD_SQL),
    save: sqlite.prepare(
      `INSERT OR REPLACE INTO rustory_p2p_peer_turns
         (peer_id, turn, state, completed, misses, retry_at, registration, seen_at, listed_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    forget: sqlite.prepare(
      `DELETE FROM rustory_p2p_peer_turns WHERE peer_id IN (
         SELECT peer_id FROM rustory_p2p_peer_turns ORDER BY completed DESC, turn DESC LIMIT -1 OFFSET ${MAX_TURNS})`,
    ),
  }));

  return {
    all: () =>
      read(() => {
        const rows = statements.all.all().map((row) => row as unknown as Turn);
        return new Map(rows.map((turn) => [turn.peerId, turn]));
      }),
    knownGood: () =>
      read(() => new Set(statements.knownGood.all().map(({ peer_id: peerId }) => String(peerId)))),
    save(turns) {
      if (turns.length === 0) return;
      try {
        write(() => {
          for (const each of turns)
            statements.save.run(
              each.peerId,
              each.turn,
              each.state,
              each.hasCompleted,
              each.misses,
              each.retryAtUnixSeconds,
              each.registration,
              each.seenUnixSeconds,
              each.listedUnixSeconds,
            );
          statements.forget.run();
        });
      } catch (error) {
        // Entries are stored in transactions of their own; a round does not fail because its order is not remembered.
        if (!(error instanceof DatabaseError)) throw error;
      }
    },
  };
}
