// The holds of the registry in the memory of one process.
import {
  type Hold,
  holdSeconds,
  isRenewalDue,
  isTenured,
  MAX_HOLDS_PER_USER,
  RENEWAL_SECONDS,
  TENURE_SECONDS,
} from './holds.ts';

export interface MemoryHolds {
  /** Whether the peer id is held for another user. */
  isHeldFromOthers(peerId: string, owner: string, nowMicros: number): boolean;
  /** Notes a registration with a token of the owner. */
  renew(peerId: string, owner: string, nowMicros: number): void;
  /** @param owner when given, the hold of another user is kept */
  free(peerId: string, owner?: string): void;
}

/** @param maxHolds maximum holds of all users; above this limit new peer ids get no hold */
export function createMemoryHolds(maxHolds: number): MemoryHolds {
  const owners = new Map<string, string>();
  // The holds of each user in the order of their last write.
  const users = new Map<string, Map<string, Hold>>();
  let nextRemovalMicros = Number.NEGATIVE_INFINITY;

  function free(peerId: string, owner?: string): void {
    const current = owners.get(peerId);
    if (current === undefined || (owner !== undefined && owner !== current)) return;
    owners.delete(peerId);
    const holds = users.get(current);
    holds?.delete(peerId);
    if (holds?.size === 0) users.delete(current);
  }

  /** Frees the holds that ended, at most once an hour, because it reads all of them. */
  function removeEnded(nowMicros: number): void {
    if (nowMicros < nextRemovalMicros) return;
    nextRemovalMicros = nowMicros + RENEWAL_SECONDS * 1_000_000;
    for (const holds of users.values())
      for (const [peerId, hold] of holds) if (isEnded(hold, nowMicros)) free(peerId);
  }

  /** Frees the hold that was absent longest when there are too many. Returns whether one more fits. */
  function makeSpace(holds: ReadonlyMap<string, Hold>, nowMicros: number): boolean {
    if (owners.size >= maxHolds) removeEnded(nowMicros);
    if (holds.size < MAX_HOLDS_PER_USER && owners.size < maxHolds) return true;
    const [oldest] = holds;
    if (oldest === undefined || nowMicros - oldest[1].lastMicros < TENURE_SECONDS * 1_000_000) return false;
    free(oldest[0]);
    return true;
  }

  return {
    isHeldFromOthers(peerId, owner, nowMicros) {
      const current = owners.get(peerId);
      if (current === undefined || current === owner) return false;
      const hold = users.get(current)?.get(peerId);
      return hold !== undefined && isTenured(hold) && !isEnded(hold, nowMicros);
    },
    renew(peerId, owner, nowMicros) {
      const current = owners.get(peerId) === owner ? users.get(owner)?.get(peerId) : undefined;
      const previous = current !== undefined && isEnded(current, nowMicros) ? undefined : current;
      if (previous !== undefined && !isRenewalDue(previous, nowMicros)) return;
      free(peerId);
      const holds = users.get(owner) ?? new Map<string, Hold>();
      if (!makeSpace(holds, nowMicros)) return;
      holds.set(peerId, { firstMicros: previous?.firstMicros ?? nowMicros, lastMicros: nowMicros });
      users.set(owner, holds);
      owners.set(peerId, owner);
    },
    free,
  };
}

function isEnded(hold: Hold, nowMicros: number): boolean {
  return nowMicros - hold.lastMicros >= holdSeconds(hold) * 1_000_000;
}
