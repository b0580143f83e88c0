// What a probe sends to Redis: the commands of the work, on keys of its own. No device has these keys: "probe" is not a
// peer id, and a user id never contains NUL. The keys match the patterns of the work, because an ACL may contain them.
import type { RedisClient } from './redis-client.ts';
import {
  ALL_KEY,
  claimsKey,
  CONFLICTS_KEY,
  holdKey,
  holdsKey,
  peerKey,
  slotOf,
  userKey,
} from './redis-keys.ts';
import { checkVersion } from './redis-problems.ts';

/** Time to live of all keys of a probe, in milliseconds. */
const PROBE_TTL_MS = 10_000;
const PROBE_TTL_MICROS = PROBE_TTL_MS * 1_000;

const PEER = 'probe';
const USER = '\0probe';

/** Keys that each belong to one of the nodes of a Cluster. A node that has few slots may have none of them. */
const NODE_KEYS = Array.from({ length: 256 }, (_, index) => {
  const key = peerKey(`${PEER}${index}`);
  return { key, slot: slotOf(key) };
});

export interface WriteCheck {
  readonly live: number;
  /** Masters of a Cluster that do not write, while others do. */
  readonly failed?: { readonly masters: number; readonly of: number; readonly error: unknown };
}

/** Counts the live peers and writes to every master. @throws when no master writes, or the peers cannot be counted */
export async function checkWrites(client: RedisClient, ttlMicros: number): Promise<WriteCheck> {
  const keys = keysOfMasters(client);
  const [live, ...writes] = await Promise.allSettled([
    client.countLive(ALL_KEY, ttlMicros),
    ...keys.map((key) => client.set(key, PEER, 'PX', PROBE_TTL_MS)),
  ]);
  const errors = writes.flatMap((write) => (write.status === 'rejected' ? [write.reason as unknown] : []));
  if (live.status === 'rejected') throw live.reason;
  if (errors.length === keys.length) throw errors[0];
  const [error] = errors;
  if (error === undefined) return { live: live.value };
  return { live: live.value, failed: { masters: errors.length, of: keys.length, error } };
}

/** One key for each master of a Cluster that has slots. */
function keysOfMasters(client: RedisClient): string[] {
  if (!('slots' in client)) return [peerKey(PEER)];
  const keys = new Map<string, string>();
  for (const { key, slot } of NODE_KEYS) {
    const master = client.slots[slot]?.[0];
    if (master !== undefined && !keys.has(master)) keys.set(master, key);
  }
  return [...keys.values()];
}

/**
 * Sends every command that registrations and listings require, and checks the version. Results do not matter, because
 * other trackers use the same keys. @throws the first error
 */
export async function checkCommands(client: RedisClient): Promise<void> {
  const owner = `=${USER}`;
  const record = `${owner}\0{}`;
  await Promise.all([
    checkServerVersion(client),
    client.set(peerKey(PEER), record, 'PX', PROBE_TTL_MS),
    client.replace(peerKey(PEER), record, PROBE_TTL_MS, owner, 0),
    client.zcard(userKey(USER)),
    client.liveMembers(userKey(USER), PROBE_TTL_MICROS),
    client.enroll(userKey(USER), PEER, PROBE_TTL_MICROS, 1),
    client.zrange(userKey(USER), '+inf', '-inf', 'BYSCORE', 'REV', 'WITHSCORES'),
    client.zrange(ALL_KEY, '+inf', '+inf', 'BYSCORE', 'REV', 'WITHSCORES'),
    client.isCluster ? client.get(peerKey(PEER)) : client.mget([peerKey(PEER)]),
    client.repair(userKey(USER), PEER, '0'),
    client.withdraw(peerKey(PEER), record),
    client.take(peerKey(PEER), owner, 0),
    client.zrem(userKey(USER), PEER),
    // The scripts send this one only when an index has old entries.
    client.zremrangebyrank(userKey(USER), 0, -1),
    client.zrem(ALL_KEY, USER),
    client.readHold(holdKey(PEER), owner, PROBE_TTL_MICROS, PROBE_TTL_MICROS),
    client.writeHold(holdKey(PEER), owner, PROBE_TTL_MICROS, PROBE_TTL_MICROS, 0),
    client.countHold(holdsKey(USER), PEER, 1, PROBE_TTL_MICROS, PROBE_TTL_MICROS),
    client.freeHold(holdKey(PEER), owner),
    client.getdel(holdKey(PEER)),
    client.zrem(holdsKey(USER), PEER),
  ]);
}

/** Sends the commands that find conflicts of identities. Registrations work without them. @throws the first error */
export async function checkClaims(client: RedisClient): Promise<void> {
  const key = claimsKey(`peer:${PEER}`);
  await Promise.all([
    client.claim(key, PROBE_TTL_MICROS, 1, PEER),
    client.hdel(key, PEER),
    client.pexpire(key, PROBE_TTL_MS),
    client.reported(CONFLICTS_KEY, PROBE_TTL_MICROS),
  ]);
}

async function checkServerVersion(client: RedisClient): Promise<void> {
  // A user without the permission for INFO can do all the work, and a command that is missing is found anyway.
  const info = await client.info('server').catch(() => '');
  checkVersion(info);
}
