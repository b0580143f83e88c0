// The claims and conflicts of the registry in the memory of one process.
import {
  CLAIM_SECONDS,
  type ClaimSet,
  type ClaimTimes,
  claimsOf,
  type Conflict,
  conflictsOf,
  MAX_CLAIMS_PER_KEY,
  MAX_REPORTS,
  REPORT_SECONDS,
} from './claims.ts';
import type { Registration } from './registry.ts';

export interface MemoryClaims {
  /** Stores the claims of an accepted registration, and returns its conflicts. */
  claim(registration: Registration, nowUnixMicros: number): Conflict[];
  conflicts(nowUnixMicros: number): Conflict[];
}

/** @param maxPeers maximum number of peers, which limits the number of keys */
export function createMemoryClaims(maxPeers: number): MemoryClaims {
  // Both in the order of their last change.
  const keys = new Map<string, Map<string, ClaimTimes>>();
  const reports = new Map<string, { readonly conflict: Conflict; readonly seenUnixMicros: number }>();

  function store({ key, claims }: ClaimSet, nowUnixMicros: number): Map<string, ClaimTimes> {
    const stored = keys.get(key) ?? new Map<string, ClaimTimes>();
    for (const [field, { lastUnixMicros }] of stored)
      if (lastUnixMicros <= nowUnixMicros - CLAIM_SECONDS * 1_000_000) stored.delete(field);
    for (const { field } of claims) {
      const old = stored.get(field);
      if (old === undefined && stored.size >= MAX_CLAIMS_PER_KEY) continue;
      const { firstUnixMicros } = old ?? { firstUnixMicros: nowUnixMicros };
      stored.set(field, { firstUnixMicros, lastUnixMicros: nowUnixMicros });
    }
    keys.delete(key);
    keys.set(key, stored);
    return stored;
  }

  function report(conflict: Conflict, seenUnixMicros: number): void {
    const key = JSON.stringify([conflict.kind, conflict.userId, conflict.subject]);
    reports.delete(key);
    reports.set(key, { conflict, seenUnixMicros });
    dropOldest(reports, MAX_REPORTS);
  }

  return {
    claim(registration, nowUnixMicros) {
      const conflicts = claimsOf(registration, maxPeers).flatMap((set) =>
        conflictsOf(set, store(set, nowUnixMicros), registration.userId),
      );
      for (const conflict of conflicts) report(conflict, nowUnixMicros);
      return conflicts;
    },
    conflicts(nowUnixMicros) {
      const sinceUnixMicros = nowUnixMicros - REPORT_SECONDS * 1_000_000;
      return [...reports.values()]
        .filter(({ seenUnixMicros }) => seenUnixMicros > sinceUnixMicros)
        .map(({ conflict }) => conflict)
        .toReversed();
    },
  };
}

function dropOldest(map: Map<string, unknown>, max: number): void {
  // Reading a Map from its start visits the slots of deleted entries, so it is read only when it is too large.
  if (map.size <= max) return;
  for (const key of map.keys()) {
    map.delete(key);
    if (map.size <= max) return;
  }
}
