// The last known addresses of other devices, stored in the database and used when no tracker lists a peer.
import type { Database } from '../history/database.ts';
import { unixSeconds } from '../../shared/clock.ts';
import { boundAddresses } from './listed-peer.ts';
import { KNOWN_GOOD_SQL } from './peer-turns.ts';

/** Maximum age of a record that is dialed, in seconds: one week. */
export const PEER_BOOK_MAX_AGE_SECONDS = 7 * 24 * 60 * 60;

/**
 * Maximum records. Above this limit the devices with which a pull has completed are kept, then those that were seen last,
 * so that a peer under ever new ids neither fills the database nor replaces the devices of this user.
 */
export const MAX_PEER_BOOK = 1_000;

/** A device to sync with. */
export interface KnownPeer {
  readonly peerId: string;
  readonly addresses: readonly string[];
  readonly userId: string | undefined;
  readonly deviceId: string | undefined;
  readonly hostname: string | undefined;
  readonly lastSeenUnixSeconds: number;
  /** Whether it is registered as a hub. Absent when it is not, and in the peer book. */
  readonly isHub?: boolean;
}

export interface PeerBook {
  /**
   * Saves peers that a tracker listed, except revoked ones. Of two records of one peer the newer one is kept; a time in
   * the future counts as the present. Removes what is above `MAX_PEER_BOOK`, and old records of devices with which no
   * pull has completed.
   *
   * `isWaiting` is false for a caller that must not wait for another process that is writing; then nothing is saved. Default
   * true.
   */
  remember(peers: readonly KnownPeer[], options?: { readonly isWaiting?: boolean }): void;
  /** Removes the records of peers that a tracker lists as revoked, which would be answered as members. */
  forget(peerIds: readonly string[]): void;
  /** The record of a peer, whatever its age; `undefined` when there is none. */
  find(peerId: string): Pick<KnownPeer, 'userId' | 'deviceId'> | undefined;
  /**
   * Returns at most `limit` peers of a user that are not revoked and were seen at or after this time: those with which a
   * pull has completed first, then the latest.
   */
  recall(userId: string, sinceUnixSeconds: number, limit: number): KnownPeer[];
  /** The peer ids that `rr` has revoked. */
  revoked(): Set<string>;
}

/** The order in which records are kept. Parameter 1 is the present. */
const ORDER_SQL = `ORDER BY peer_id IN (${KNOWN_GOOD_SQL}) DESC, min(last_seen, ?1) DESC`;

export function createPeerBook(database: Database, nowUnixSeconds: () => number = unixSeconds): PeerBook {
  const { sqlite } = database;
  const statements = database.read(() => ({
    upsert: sqlite.prepare(
      `INSERT INTO peer_book(peer_id, addrs_json, user_id, device_id, last_seen) SELECT ?1, ?2, ?3, ?4, ?5
       WHERE NOT EXISTS (SELECT 1 FROM peer_revocations WHERE peer_id = ?1)
       ON CONFLICT(peer_id) DO UPDATE SET addrs_json = excluded.addrs_json, user_id = excluded.user_id,
         device_id = excluded.device_id, last_seen = excluded.last_seen
       WHERE excluded.last_seen >= min(last_seen, ?6)`,
    ),
    find: sqlite.prepare('SELECT user_id, device_id FROM peer_book WHERE peer_id = ?'),
    forget: sqlite.prepare('DELETE FROM peer_book WHERE peer_id = ?'),
    knownGood: sqlite.prepare(KNOWN_GOOD_SQL),
    revoked: sqlite.prepare('SELECT peer_id FROM peer_revocations'),
    recall: sqlite.prepare(
      `SELECT peer_id, addrs_json, user_id, device_id, min(last_seen, ?1) AS last_seen FROM peer_book
       WHERE user_id = ?2 AND last_seen >= ?3 AND peer_id NOT IN (SELECT peer_id FROM peer_revocations)
       ${ORDER_SQL} LIMIT ?4`,
    ),
    // Relative to the newest record too, because the clock of this machine may be far ahead.
    removeOld: sqlite.prepare(
      `DELETE FROM peer_book WHERE last_seen < min(?1, (SELECT max(last_seen) FROM peer_book)) - ${PEER_BOOK_MAX_AGE_SECONDS}
       AND peer_id NOT IN (${KNOWN_GOOD_SQL})`,
    ),
    removeExcess: sqlite.prepare(
      `DELETE FROM peer_book WHERE peer_id IN (
         SELECT peer_id FROM peer_book ${ORDER_SQL} LIMIT -1 OFFSET ${MAX_PEER_BOOK})`,
    ),
  }));

  /** The peers that are worth a record, so that no more are written than are kept. */
  function selectKept(peers: readonly KnownPeer[], now: number): readonly KnownPeer[] {
    if (peers.length <= MAX_PEER_BOOK) return peers;
    const good = new Set(statements.knownGood.all().map(({ peer_id: peerId }) => String(peerId)));
    const seen = ({ lastSeenUnixSeconds }: KnownPeer): number => Math.min(lastSeenUnixSeconds, now);
    return peers
      .toSorted((a, b) => Number(good.has(b.peerId)) - Number(good.has(a.peerId)) || seen(b) - seen(a))
      .slice(0, MAX_PEER_BOOK);
  }

  return {
    remember(peers, { isWaiting = true } = {}) {
      if (peers.length === 0) return;
      const now = nowUnixSeconds();
      database[isWaiting ? 'write' : 'writeNow'](() => {
        for (const { peerId, addresses, userId, deviceId, lastSeenUnixSeconds } of selectKept(peers, now))
          statements.upsert.run(
            peerId,
            JSON.stringify(boundAddresses(addresses)),
            userId ?? null,
            deviceId ?? null,
            Math.min(lastSeenUnixSeconds, now),
            now,
          );
        statements.removeOld.run(now);
        statements.removeExcess.run(now);
      });
    },
    forget(peerIds) {
      // Each round repeats it, and a write would wait for other processes that write.
      const known = database.read(() => peerIds.filter((id) => statements.find.get(id) !== undefined));
      if (known.length > 0)
        database.write(() => {
          for (const peerId of known) statements.forget.run(peerId);
        });
    },
    find: (peerId) =>
      database.read(() => {
        const row = statements.find.get(peerId);
        return row && { userId: textOf(row['user_id']), deviceId: textOf(row['device_id']) };
      }),
    recall: (userId, sinceUnixSeconds, limit) =>
      database.read(() =>
        statements.recall.all(nowUnixSeconds(), userId, sinceUnixSeconds, limit).map((row) => ({
          peerId: String(row['peer_id']),
          addresses: readAddresses(row['addrs_json']),
          userId: textOf(row['user_id']),
          deviceId: textOf(row['device_id']),
          hostname: undefined,
          lastSeenUnixSeconds: Number(row['last_seen']),
        })),
      ),
    revoked: () =>
      database.read(() => new Set(statements.revoked.all().map(({ peer_id: peerId }) => String(peerId)))),
  };
}

/** Another program may have written invalid JSON. Then the peer has no addresses. */
function readAddresses(json: unknown): string[] {
  try {
    const value: unknown = JSON.parse(String(json));
    return Array.isArray(value) ? boundAddresses(value.filter((address) => typeof address === 'string')) : [];
  } catch {
    return [];
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
