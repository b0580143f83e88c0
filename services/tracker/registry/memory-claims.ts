// The claims and conflicts of the registry in the memory of one process.
import { ClaimTable } from './claim-table.ts';
import {
  CLAIM_SECONDS,
  type ClaimSet,
  type ClaimTimes,
  claimsOf,
  type Conflict,
  conflictsOf,
  countKeys,
  groupOf,
  MAX_REPORTS,
  REPORT_SECONDS,
} from './claims.ts';
import type { Registration } from './registry.ts';

export interface MemoryClaims {
  /** Stores the claims of an accepted registration, and returns its conflicts. */
  claim(registration: Registration, nowUnixMicros: number): Conflict[];
  /**
   * Whether another device lately claimed what the device of this peer id claims. If not, claims that it repeats can be
   * stored later, with the time of the last repetition: nothing that is stored is compared with them.
   */
  isContested(peerId: string): boolean;
  conflicts(nowUnixMicros: number): Conflict[];
}

/** @param maxPeers maximum number of peers, which limits the number of keys */
export function createMemoryClaims(maxPeers: number): MemoryClaims {
  const tables = {
    peer: new ClaimTable(countKeys('peer', maxPeers)),
    device: new ClaimTable(countKeys('device', maxPeers)),
  };
  /** When claims of a peer id were found last that exclude each other, in this order. */
  const contested = new Map<string, number>();
  let latestMicros = 0;
  const reports = new Map<string, { readonly conflict: Conflict; readonly seenUnixMicros: number }>();

  /** Notes the peer ids of claims that exclude each other. */
  function noteContested(
    { claims }: ClaimSet,
    stored: ReadonlyMap<string, ClaimTimes>,
    micros: number,
  ): void {
    for (const { kind, subject, field } of claims) {
      const group = groupOf(field);
      const rivals = [...stored.keys()].filter((other) => other.startsWith(group));
      if (rivals.length < 2) continue;
      // Claims of the kind `peer_id` contain the peer id; the others are about it.
      for (const peerId of kind === 'peer_id' ? rivals.map((each) => each.slice(group.length)) : [subject]) {
        contested.delete(peerId);
        contested.set(peerId, micros);
      }
    }
    dropOldest(contested, maxPeers);
  }

  function report(conflict: Conflict, seenUnixMicros: number): void {
    const key = JSON.stringify([conflict.kind, conflict.userId, conflict.subject]);
    reports.delete(key);
    reports.set(key, { conflict, seenUnixMicros });
    dropOldest(reports, MAX_REPORTS);
  }

  return {
    claim(registration, nowUnixMicros) {
      latestMicros = Math.max(latestMicros, nowUnixMicros);
      const conflicts = claimsOf(registration, maxPeers).flatMap((set) => {
        const table = tables[set.of];
        if (!table.store(set.number, set.claims, nowUnixMicros)) return [];
        const stored = table.find(set.number, set.claims);
        noteContested(set, stored, nowUnixMicros);
        return conflictsOf(set, stored, registration.userId);
      });
      for (const conflict of conflicts) report(conflict, nowUnixMicros);
      return conflicts;
    },
    isContested(peerId) {
      const sinceMicros = contested.get(peerId);
      if (sinceMicros === undefined) return false;
      if (latestMicros - sinceMicros < CLAIM_SECONDS * 1_000_000) return true;
      contested.delete(peerId);
      return false;
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
