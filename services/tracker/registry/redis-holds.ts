// The holds of the registry in Redis:
//   rustory:hold:<id>        string with a time to live: `first last owner`, with both times in microseconds
//   rustory:holds:<uid>      sorted set of the peer ids that are held for a user, by the time of the last write
import { ABSENCE_SECONDS, MAX_HOLDS_PER_USER, RENEWAL_SECONDS, TENURE_SECONDS } from './holds.ts';
import type { RedisClient } from './redis-client.ts';
import { holdKey, holdsKey } from './redis-keys.ts';
import { decodeOwner, encodeOwner } from './redis-records.ts';

/** Replies of the scripts. */
export const HELD = 'held';
export const DUE = 'due';

/** Reads whose a peer id is: `held` for another user, `due` when a registration must write the hold, or `fresh`. */
export function readHold(client: RedisClient, peerId: string, owner: string): Promise<string> {
  return client.readHold(
    holdKey(peerId),
    encodeOwner(owner),
    TENURE_SECONDS * 1_000_000,
    RENEWAL_SECONDS * 1_000_000,
  );
}

/** Writes the hold. The reply is `held` when the peer id is held for another user. */
export function writeHold(client: RedisClient, peerId: string, owner: string): Promise<string> {
  return client.writeHold(
    holdKey(peerId),
    encodeOwner(owner),
    TENURE_SECONDS * 1_000_000,
    ABSENCE_SECONDS * 1_000_000,
    RENEWAL_SECONDS * 1_000_000,
  );
}

/**
 * Counts a hold for its user, and drops one when the user has too many. A process that ends in between leaves a hold
 * that is not counted and ends by itself.
 */
export async function countHold(client: RedisClient, peerId: string, owner: string): Promise<void> {
  const excess = await client.countHold(
    holdsKey(owner),
    peerId,
    MAX_HOLDS_PER_USER,
    TENURE_SECONDS * 1_000_000,
    (ABSENCE_SECONDS + RENEWAL_SECONDS) * 1_000_000,
  );
  if (excess !== '') await client.freeHold(holdKey(excess), encodeOwner(owner));
}

/** Frees a peer id. @param owner when given, the hold of another user is kept */
export async function freeHold(client: RedisClient, peerId: string, owner?: string): Promise<void> {
  // Without an owner this is part of most registrations, and a plain command costs less than a script.
  const freed =
    owner === undefined
      ? ((await client.getdel(holdKey(peerId))) ?? '').split(' ').slice(2).join(' ')
      : await client.freeHold(holdKey(peerId), encodeOwner(owner));
  if (freed !== '') await client.zrem(holdsKey(decodeOwner(freed)), peerId);
}
