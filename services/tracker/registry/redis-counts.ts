// The counts of the registry in Redis: sorted sets of live peers and users, which expire like the index of all peers.
//   rustory:user:\0circuits   a member for each pair of a peer and a relay that it lists: `<n> <peer id>`, n from 2, for all but
//                      the first one, which is in `rustory:user:\0relayed`
//   rustory:user:\0relayed    peer ids that list a circuit
//   rustory:user:\0single     hashes of the ids of users with one live peer, which is not a hub
// They are written after a registration and not awaited, and a failure changes only metrics.
import { hash } from 'node:crypto';
import { MAX_COUNTED_RELAYS, type RegistryCounts } from './counts.ts';
import type { RedisClient } from './redis-client.ts';
import { countHubs } from './redis-hubs.ts';
import { CIRCUITS_KEY, HUB_USERS_KEY, RELAYED_KEY, SINGLE_KEY, userKey } from './redis-keys.ts';
import { inBackground, type Store } from './redis-store.ts';
import type { Registration } from './registry.ts';

/** The sets need no limit of their own: only peers that the registry accepted are added. */
const UNLIMITED = Number.MAX_SAFE_INTEGER;

/** Length of the hash of a user id, in characters: 96 bits. User ids have up to 256 characters. */
const HASH_LENGTH = 16;

const NAME = 'count not updated';

/** Counts an accepted registration. */
export function countRegistration(store: Store, { peerId, userId, relays = 0 }: Registration): void {
  const { client, ttlSeconds } = store;
  const ttlMicros = ttlSeconds * 1_000_000;
  // A relay that is no longer listed expires like a registration.
  inBackground(store, NAME, [
    relays > 0 ? client.enroll(RELAYED_KEY, peerId, ttlMicros, UNLIMITED) : client.zrem(RELAYED_KEY, peerId),
    ...pairsOf(peerId, relays).map((pair) => client.enroll(CIRCUITS_KEY, pair, ttlMicros, UNLIMITED)),
  ]);
  if (userId !== null) inBackground(store, NAME, [countUser(store, userId)]);
}

/** Forgets a peer that was unregistered. */
export function forgetRegistration(store: Store, peerId: string, userId: string | null): void {
  const { client } = store;
  inBackground(store, NAME, [
    client.zrem(RELAYED_KEY, peerId),
    client.zrem(CIRCUITS_KEY, ...pairsOf(peerId, MAX_COUNTED_RELAYS)),
  ]);
  if (userId !== null) inBackground(store, NAME, [countUser(store, userId)]);
}

/** Counts the live peers of a user again, after one of them registered or left. */
export async function countUser({ client, ttlSeconds }: Store, userId: string): Promise<void> {
  const ttlMicros = ttlSeconds * 1_000_000;
  const member = singleMember(userId);
  const [live, hubs] = await Promise.all([
    client.countLive(userKey(userId), ttlMicros),
    countHubs(client, userId),
  ]);
  if (live === 1 && hubs === 0) await client.enroll(SINGLE_KEY, member, ttlMicros, UNLIMITED);
  else await client.zrem(SINGLE_KEY, member);
}

/** The member of a user in the set of users with one live peer. */
export function singleMember(userId: string): string {
  return hash('sha256', userId, 'base64url').slice(0, HASH_LENGTH);
}

export async function readCounts(client: RedisClient, ttlMicros: number): Promise<RegistryCounts> {
  const [circuitPeers, others, singleDeviceUsers, hubUsers] = await Promise.all([
    client.countLive(RELAYED_KEY, ttlMicros),
    client.countLive(CIRCUITS_KEY, ttlMicros),
    client.countLive(SINGLE_KEY, ttlMicros),
    client.countLive(HUB_USERS_KEY, ttlMicros),
  ]);
  return { circuitPeers, circuits: circuitPeers + others, singleDeviceUsers, hubUsers };
}

/** The members for all relays of a peer except the first one. */
function pairsOf(peerId: string, relays: number): string[] {
  return Array.from({ length: Math.max(0, relays - 1) }, (_, index) => `${index + 2} ${peerId}`);
}
