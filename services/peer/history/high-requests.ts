// Requests with cursors that this database never assigned, for `doctor`, which is another process than the one that was
// asked. They show that an older copy of the database was restored, or that its last transactions were lost.
import type { Database } from './database.ts';
import type { Cursors } from './peer-cursors.ts';

/** Maximum peers that are remembered, the latest ones. Requesters of `rr` 0.1 have a new peer id each time. */
const MAX_PEERS = 32;

export interface HighRequest extends Cursors {
  readonly peerId: string;
  readonly seenUnixSeconds: number;
}

export interface HighRequests {
  add(request: HighRequest): void;
  /** The requests since a time, latest first. */
  since(unixSeconds: number): HighRequest[];
}

export function createHighRequests({ sqlite, read, writeNow }: Database): HighRequests {
  const statements = read(() => ({
    add: sqlite.prepare(
      `INSERT INTO rustory_p2p_high_requests(peer_id, cursor, delete_cursor, seen_at) VALUES (?, ?, ?, ?)
       ON CONFLICT(peer_id) DO UPDATE SET cursor = excluded.cursor, delete_cursor = excluded.delete_cursor,
         seen_at = excluded.seen_at`,
    ),
    trim: sqlite.prepare(
      `DELETE FROM rustory_p2p_high_requests WHERE peer_id NOT IN
         (SELECT peer_id FROM rustory_p2p_high_requests ORDER BY seen_at DESC LIMIT ${MAX_PEERS})`,
    ),
    since: sqlite.prepare(
      `SELECT peer_id AS peerId, cursor, delete_cursor AS deleteCursor, seen_at AS seenUnixSeconds
       FROM rustory_p2p_high_requests WHERE seen_at >= ? ORDER BY seen_at DESC`,
    ),
  }));
  return {
    add({ peerId, cursor, deleteCursor, seenUnixSeconds }) {
      // Not stored while another process writes. The peer repeats its request.
      writeNow(() => {
        statements.add.run(peerId, cursor, deleteCursor, seenUnixSeconds);
        statements.trim.run();
      });
    },
    since: (unixSeconds) => read(() => statements.since.all(unixSeconds) as unknown as HighRequest[]),
  };
}
