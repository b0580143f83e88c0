// The last known addresses of other devices, kept in the database for when no tracker knows any peer.
import type { Database } from '../history/database.ts';

/** Most addresses kept of one peer; as many as a tracker takes. */
const MAX_ADDRESSES = 32;

/** One device that can be synced with. */
export interface KnownPeer {
  readonly peerId: string;
  readonly addresses: readonly string[];
  readonly userId: string | undefined;
  readonly deviceId: string | undefined;
  readonly hostname: string | undefined;
  /** Unix seconds. */
  readonly lastSeen: number;
}

export interface PeerBook {
  /** Writes what a tracker told; of two records of one peer the newer one stays. */
  remember(peers: readonly KnownPeer[]): void;
  /** Peers of a user seen at or after `since` (unix seconds), the last seen first, at most `limit`. */
  recall(userId: string, since: number, limit: number): KnownPeer[];
}

export function createPeerBook(database: Database): PeerBook {
  const { sqlite } = database;
  const statements = database.read(() => ({
    upsert: sqlite.prepare(
      `INSERT INTO peer_book(peer_id, addrs_json, user_id, device_id, last_seen) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT(peer_id) DO UPDATE SET addrs_json = excluded.addrs_json, user_id = excluded.user_id,
         device_id = excluded.device_id, last_seen = excluded.last_seen
       WHERE excluded.last_seen >= last_seen`,
    ),
    recall: sqlite.prepare(
      `SELECT peer_id, addrs_json, user_id, device_id, last_seen FROM peer_book
       WHERE user_id = ? AND last_seen >= ? ORDER BY last_seen DESC LIMIT ?`,
    ),
  }));

  return {
    remember(peers) {
      if (peers.length === 0) return;
      database.write(() => {
        for (const { peerId, addresses, userId, deviceId, lastSeen } of peers)
          statements.upsert.run(
            peerId,
            JSON.stringify(addresses),
            userId ?? null,
            deviceId ?? null,
            lastSeen,
          );
      });
    },
    recall: (userId, since, limit) =>
      database.read(() =>
        statements.recall.all(userId, since, limit).map((row) => ({
          peerId: String(row['peer_id']),
          addresses: readAddresses(row['addrs_json']),
          userId: textOf(row['user_id']),
          deviceId: textOf(row['device_id']),
          hostname: undefined,
          lastSeen: Number(row['last_seen']),
        })),
      ),
  };
}

/** What another program wrote there may be anything: then the peer is known, but not its addresses. */
function readAddresses(json: unknown): string[] {
  try {
    const value: unknown = JSON.parse(String(json));
    if (!Array.isArray(value)) return [];
    return value.filter((address) => typeof address === 'string').slice(0, MAX_ADDRESSES);
  } catch {
    return [];
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
