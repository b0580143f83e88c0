// The claims and conflicts of the registry in Redis:
//   rustory:claims:<key>   hash of claims, each with the times when it was made first and last
//   rustory:conflicts      sorted set of conflicts by the time when they were found last
import {
  CLAIM_SECONDS,
  type ClaimSet,
  type ClaimTimes,
  type Conflict,
  MAX_CLAIMS_PER_KEY,
  MAX_REPORTS,
  REPORT_SECONDS,
} from './claims.ts';
import type { RedisClient } from './redis-client.ts';
import { claimsKey, CONFLICTS_KEY } from './redis-keys.ts';

/** Stores claims. The reply contains all claims with the key. */
export function sendClaims(client: RedisClient, { key, claims }: ClaimSet): Promise<string[]> {
  const fields = claims.map(({ field }) => field);
  return client.claim(claimsKey(key), CLAIM_SECONDS * 1_000_000, MAX_CLAIMS_PER_KEY, ...fields);
}

/** Decodes `[field, "first:last", …]`. */
export function decodeClaims(flat: readonly string[]): Map<string, ClaimTimes> {
  const claims = new Map<string, ClaimTimes>();
  for (let index = 0; index + 1 < flat.length; index += 2) {
    const [first, last] = (flat[index + 1] ?? '').split(':');
    claims.set(flat[index] ?? '', { firstUnixMicros: Number(first), lastUnixMicros: Number(last) });
  }
  return claims;
}

/** Withdraws the claims of a refused registration. */
export function withdrawClaims(client: RedisClient, { key, claims }: ClaimSet): Promise<unknown> {
  return client.hdel(claimsKey(key), ...claims.map(({ field }) => field));
}

export function reportConflict(client: RedisClient, conflict: Conflict): Promise<unknown> {
  return client.report(CONFLICTS_KEY, REPORT_SECONDS * 1_000_000, MAX_REPORTS, JSON.stringify(conflict));
}

/** The conflicts that were reported lately, newest first. */
export function readConflicts(client: RedisClient): Promise<string[]> {
  return client.reported(CONFLICTS_KEY, REPORT_SECONDS * 1_000_000);
}

/** Decodes conflicts. Of one subject only the newest is kept, because its claimants change. */
export function decodeConflicts(newestFirst: readonly string[]): Conflict[] {
  const conflicts = new Map<string, Conflict>();
  for (const text of newestFirst) {
    const conflict = JSON.parse(text) as Conflict;
    const key = JSON.stringify([conflict.kind, conflict.userId, conflict.subject]);
    if (!conflicts.has(key)) conflicts.set(key, conflict);
  }
  return [...conflicts.values()];
}
