// How much time a round takes, and how much the peers may store in it. Without these limits one peer that always has
// one more page would keep a round from its end and fill the disk.
import type { PullResponse } from './sync-protocol.ts';

const MEGABYTE = 1024 * 1024;

/** Limits of one round. A pull in progress ends by the limits of its turn, so a round may exceed these by one turn. */
export interface RoundLimits {
  /** Time in milliseconds after which no peer gets a turn. */
  readonly roundMs: number;
  /** Maximum bytes of new entries and deletions from all peers. */
  readonly roundBytes: number;
  /** The same from one peer, in all its turns. */
  readonly peerBytes: number;
}

/** A round of a watch is followed by another one, which continues. */
export const WATCH_LIMITS: RoundLimits = {
  roundMs: 120_000,
  roundBytes: 128 * MEGABYTE,
  peerBytes: 64 * MEGABYTE,
};

/** A one-shot `sync` completes a history of a million entries, but not one without an end. */
export const SYNC_LIMITS: RoundLimits = {
  roundMs: 600_000,
  roundBytes: 512 * MEGABYTE,
  peerBytes: 384 * MEGABYTE,
};

/** Maximum bytes of one turn of a peer. Then the others have theirs. */
const TURN_BYTES = 64 * MEGABYTE;

/** Bytes of an item in the database in addition to its texts: numbers, the row and its indexes. */
const ITEM_BYTES = 128;

/** The times of one turn of a peer. */
export interface TurnTimes {
  /** Maximum time to connect, in milliseconds. */
  readonly dialMs: number;
  /**
   * Time in milliseconds in which the peer must answer a probe before it is pulled. Without a probe it is absent. A
   * peer that answers nothing then keeps no other from being pulled.
   */
  readonly probeMs?: number | undefined;
  /** Time in milliseconds after which the turn ends with the page that was stored last. */
  readonly turnMs: number;
  /** Time in milliseconds after which the turn ends in any case; with a failure if no page was stored. */
  readonly abortMs: number;
}

/** The limits of one turn of a peer. */
export interface TurnBudget {
  readonly times: TurnTimes;
  /** Counts a page that was stored. Of its entries so many were known already. */
  spend(page: Pick<PullResponse, 'entries' | 'deletions'>, duplicates: number): void;
  /** Whether the turn ends after this page. */
  isSpent(): boolean;
}

export interface RoundBudget {
  /** Whether no further peer gets a turn. */
  isSpent(): boolean;
  /** Whether a peer has used up its part of the round. */
  isPeerSpent(peerId: string): boolean;
  startTurn(peerId: string, times: TurnTimes): TurnBudget;
}

/** @param nowMs monotonic clock in milliseconds */
export function createRoundBudget(limits: RoundLimits, nowMs: () => number): RoundBudget {
  const endMs = nowMs() + limits.roundMs;
  const bytesByPeer = new Map<string, number>();
  let bytes = 0;
  const isSpent = (): boolean => nowMs() >= endMs || bytes >= limits.roundBytes;
  const isPeerSpent = (peerId: string): boolean => (bytesByPeer.get(peerId) ?? 0) >= limits.peerBytes;

  return {
    isSpent,
    isPeerSpent,
    startTurn(peerId, times) {
      const turnEndMs = nowMs() + times.turnMs;
      let turnBytes = 0;
      return {
        times,
        spend(page, duplicates) {
          const pageBytes = storedBytes(page, duplicates);
          turnBytes += pageBytes;
          bytes += pageBytes;
          bytesByPeer.set(peerId, (bytesByPeer.get(peerId) ?? 0) + pageBytes);
        },
        isSpent: () => turnBytes >= TURN_BYTES || nowMs() >= turnEndMs || isPeerSpent(peerId) || isSpent(),
      };
    },
  };
}

/**
 * The approximate number of bytes that a page adds to the database. Known entries add nothing: several devices have the
 * same history, and each of them takes time only, which is limited too.
 */
function storedBytes(
  { entries, deletions }: Pick<PullResponse, 'entries' | 'deletions'>,
  duplicates: number,
): number {
  const newShare = entries.length === 0 ? 0 : 1 - duplicates / entries.length;
  return sizeOf(entries) * newShare + sizeOf(deletions);
}

function sizeOf(items: readonly object[]): number {
  let bytes = 0;
  for (const item of items) {
    bytes += ITEM_BYTES;
    for (const value of Object.values(item)) if (typeof value === 'string') bytes += Buffer.byteLength(value);
  }
  return bytes;
}
