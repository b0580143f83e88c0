// The last known addresses of other devices, stored in the database and used when no tracker lists a peer.
import { MAX_ADDRS } from '../../shared/contract.ts';
import type { Database } from '../history/database.ts';

/** A device to sync with. */
export interface KnownPeer {
  readonly peerId: string;
  readonly addresses: readonly string[];
  readonly userId: string | undefined;
  readonly deviceId: string | undefined;
  readonly hostname: string | undefined;
  readonly lastSeenUnixSeconds: number;
}

export interface PeerBook {
  /** Saves peers that a tracker listed, except revoked ones. Of two records of one peer the newer one is kept. */
  remember(peers: readonly KnownPeer[]): void;
  /** The record of a peer, whatever its age; `undefined` when there is none. */
  find(peerId: string): Pick<KnownPeer, 'userId' | 'deviceId'> | undefined;
  /** Returns at most `limit` peers of a user that are not revoked and were seen at or after this time, latest first. */
  recall(userId: string, sinceUnixSeconds: number, limit: number): KnownPeer[];
}

export function createPeerBook(database: Database): PeerBook {
  const { sqlite } = database;
  const statements = database.read(() => ({
    upsert: sqlite.prepare(
      `INSERT INTO peer_book(peer_id, addrs_json, user_id, device_id, last_seen) SELECT ?1, ?2, ?3, ?4, ?5
       WHERE NOT EXISTS (SELECT 1 FROM peer_revocations WHERE peer_id = ?1)
       ON CONFLICT(peer_id) DO UPDATE SET addrs_json = excluded.addrs_json, user_id = excluded.user_id,
         device_id = excluded.device_id, last_seen = excluded.last_seen
       WHERE excluded.last_seen >= last_seen`,
    ),
    find: sqlite.prepare('SELECT user_id, device_id FROM peer_book WHERE peer_id = ?'),
    recall: sqlite.prepare(
      `SELECT peer_id, addrs_json, user_id, device_id, last_seen FROM peer_book
       WHERE user_id = ? AND last_seen >= ? AND peer_id NOT IN (SELECT peer_id FROM peer_revocations) ORDER BY last_seen DESC LIMIT ?`,
    ),
  }));

  return {
    remember(peers) {
      if (peers.length === 0) return;
      database.write(() => {
        for (const { peerId, addresses, userId, deviceId, lastSeenUnixSeconds } of peers)
          statements.upsert.run(
            peerId,
            JSON.stringify(addresses),
            userId ?? null,
            deviceId ?? null,
            lastSeenUnixSeconds,
          );
      });
    },
    find: (peerId) =>
      database.read(() => {
        const row = statements.find.get(peerId);
        return row && { userId: textOf(row['user_id']), deviceId: textOf(row['device_id']) };
      }),
    recall: (userId, sinceUnixSeconds, limit) =>
      database.read(() =>
        statements.recall.all(userId, sinceUnixSeconds, limit).map((row) => ({
          peerId: String(row['peer_id']),
          addresses: readAddresses(row['addrs_json']),
          userId: textOf(row['user_id']),
          deviceId: textOf(row['device_id']),
          hostname: undefined,
          lastSeenUnixSeconds: Number(row['last_seen']),
        })),
      ),
  };
}

/** Another program may have written invalid JSON. Then the peer has no addresses. */
function readAddresses(json: unknown): string[] {
  try {
    const value: unknown = JSON.parse(String(json));
    if (!Array.isArray(value)) return [];
    const addresses = value.filter((address) => typeof address === 'string');
    // A circuit is the address that always works, and other programs write longer lists.
    return addresses.toSorted((a, b) => Number(isCircuit(b)) - Number(isCircuit(a))).slice(0, MAX_ADDRS);
  } catch {
    return [];
  }
}

function isCircuit(address: string): boolean {
  return address.includes('/p2p-circuit');
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
