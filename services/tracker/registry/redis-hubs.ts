// The hubs of the registry in Redis: sorted sets that expire like the index of all peers.
//   rustory:user:\0hubs:<uid>  peer ids of the hubs of a user: an index. Only a record that is marked as that of a hub counts
//   rustory:user:\0hubs        ids of the users with a live hub, for pages of all peers and for the metrics
import type { RedisClient } from './redis-client.ts';
import { HUB_USERS_KEY, hubsKey } from './redis-keys.ts';
import type { Store } from './redis-store.ts';

/** The sets need no limit of their own: a token of a hub is required to be in them. */
const UNLIMITED = Number.MAX_SAFE_INTEGER;

/** Adds a hub to both sets, as a part of its registration. */
export async function enrollHub(
  { client, ttlSeconds }: Store,
  userId: string,
  peerId: string,
): Promise<void> {
  const ttlMicros = ttlSeconds * 1_000_000;
  await Promise.all([
    client.enroll(hubsKey(userId), peerId, ttlMicros, UNLIMITED),
    client.enroll(HUB_USERS_KEY, userId, ttlMicros, UNLIMITED),
  ]);
}

/**
 * Removes a hub that is no longer one, and its user when that was the only one.
 *
 * @param micros when given, a hub that registered since is kept
 */
export async function forgetHub(
  store: Store,
  userId: string,
  peerId: string,
  micros?: string,
): Promise<void> {
  const { client, ttlSeconds } = store;
  // Read before the hubs are counted, so that a user whose other hub registers in between stays in the set.
  const seen = await client.zscore(HUB_USERS_KEY, userId);
  if (micros === undefined) await client.zrem(hubsKey(userId), peerId);
  else await client.leave(hubsKey(userId), peerId, micros);
  const live = await client.countLive(hubsKey(userId), ttlSeconds * 1_000_000);
  if (live === 0 && seen !== null) await client.leave(HUB_USERS_KEY, userId, seen);
}

/** The ids and times of the hubs of a user, newest first, with some that expired. */
export function readHubs(client: RedisClient, userId: string): Promise<string[]> {
  return client.zrange(hubsKey(userId), '+inf', '-inf', 'BYSCORE', 'REV', 'WITHSCORES');
}

/** The users with a live hub. */
export function readHubUsers({ client, ttlSeconds }: Store): Promise<string[]> {
  return client.liveMembers(HUB_USERS_KEY, ttlSeconds * 1_000_000);
}

/** The number of hubs of a user, with some that expired. 0 when none is live, because the set expires with the newest. */
export function countHubs(client: RedisClient, userId: string): Promise<number> {
  return client.zcard(hubsKey(userId));
}
