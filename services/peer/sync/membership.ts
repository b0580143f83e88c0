// Decides whether a requester is a device of this user, as `rr` does: it is in the peer book or in the list of a
// tracker, with the same user id. An unknown requester waits for a list, and others are answered meanwhile.
import { refused, type Result } from '../../shared/result.ts';
import { anySignal } from '../../shared/signals.ts';
import type { KnownPeer, PeerBook } from '../discovery/peer-book.ts';
import type { TrackerClient } from '../discovery/tracker-client.ts';
import { DatabaseError } from '../history/database.ts';

/**
 * Maximum wait of a requester for the trackers, in milliseconds. A requester of `rr` has 30 s for a whole sync, and is
 * refused within 3 s here, with time left for the refusal itself.
 */
const ANSWER_TIMEOUT_MS = 2_500;

/** Maximum requesters that wait at the same time. Further unknown ones are refused. */
const MAX_WAITING = 256;

/**
 * Delay of a list request in milliseconds, so that requesters that arrive together share it. Each requester needs a
 * list that was requested after its arrival, because it may have registered immediately before.
 */
const BATCH_MS = 50;

/** Minimum time between the starts of two list requests in milliseconds, whatever the number of unknown requesters. */
const MIN_LOOKUP_INTERVAL_MS = 1_000;

/**
 * Time for which an unknown requester is refused without another look-up, in milliseconds, counted from its look-up.
 * It is short, because the device may register at any time.
 */
const UNKNOWN_MS = 5_000;

/** Time for which a listed device is a member without another look-up, in milliseconds. */
const LISTED_MS = 60_000;

/** Maximum remembered requesters of each kind, known and unknown. The oldest one is forgotten first. */
const MAX_REMEMBERED = 1_024;

/** Why a requester is refused; values of a log field. */
export const NOT_MEMBER_REASONS = [
  'the peer is revoked',
  'the peer is not in allowed_peers',
  'no tracker lists the peer for this user',
  'no tracker answered in time',
  'too many unknown peers',
] as const;
export type NotMemberReason = (typeof NOT_MEMBER_REASONS)[number];

/** The registration of a member. Its pushes must carry these ids. */
export interface Member {
  readonly userId: string;
  /** `undefined` when the device registered without one. */
  readonly deviceId: string | undefined;
}

export interface Membership {
  /** Whether the peer is a member, with a look-up at the trackers if it is unknown. */
  check(peerId: string): Promise<Result<{ readonly member: Member }, NotMemberReason>>;
  /**
   * Looks the peer up again, although it is known: it may have registered with other ids since. The trackers are asked until
   * one has a registration that `accepts` accepts.
   */
  confirm(
    peerId: string,
    accepts: (member: Member) => boolean,
  ): Promise<Result<{ readonly member: Member }, NotMemberReason>>;
  /** Whether the peer is known as a member, without a look-up. */
  isKnown(peerId: string): boolean;
  isRevoked(peerId: string): boolean;
  /** Ends the waits; every requester that waits is refused. */
  stop(): void;
}

export interface MembershipDeps {
  readonly trackers: readonly TrackerClient[];
  readonly peerBook: Pick<PeerBook, 'find' | 'remember'>;
  readonly isRevoked: (peerId: string) => boolean;
  readonly userId: string;
  /** Monotonic clock in milliseconds. */
  readonly nowMs: () => number;
  /** Calls `work` after `milliseconds`; the returned function cancels it. */
  readonly schedule?: (work: () => void, milliseconds: number) => () => void;
}

/** What the look-ups found about a peer, and until when it counts. */
interface Remembered {
  readonly member: Member | undefined;
  readonly untilMs: number;
}

/** A requester that waits for a list. */
interface Waiting {
  readonly peerId: string;
  readonly arrivedMs: number;
  readonly accepts: (member: Member) => boolean;
  settle(result: Awaited<ReturnType<Membership['check']>>): void;
}

export function createMembership(deps: MembershipDeps): Membership {
  const { trackers, peerBook, isRevoked, userId, nowMs, schedule = scheduleTimer } = deps;
  const stopping = new AbortController();
  const remembered = new Map<string, Remembered>();
  const waiting = new Set<Waiting>();
  let cancelLookup: (() => void) | undefined;
  let isLookingUp = false;
  let lookupStartedMs = -Infinity;

  function findKnown(peerId: string): Member | undefined {
    const known = recall(peerId)?.member;
    if (known !== undefined) return known;
    const row = peerBook.find(peerId);
    return row?.userId === userId ? { userId, deviceId: row.deviceId } : undefined;
  }

  function recall(peerId: string): Remembered | undefined {
    const found = remembered.get(peerId);
    return found !== undefined && nowMs() < found.untilMs ? found : undefined;
  }

  function remember(peerId: string, member: Member | undefined, untilMs: number): void {
    remembered.delete(peerId);
    remembered.set(peerId, { member, untilMs });
    const [oldest] = remembered.keys();
    if (remembered.size > MAX_REMEMBERED && oldest !== undefined) remembered.delete(oldest);
  }

  /** Starts a look-up after a short delay, unless one is planned or running. */
  function planLookup(): void {
    if (isLookingUp || cancelLookup !== undefined || waiting.size === 0 || stopping.signal.aborted) return;
    const sincePreviousMs = nowMs() - lookupStartedMs;
    cancelLookup = schedule(
      () => {
        cancelLookup = undefined;
        void lookUp();
      },
      Math.max(BATCH_MS, MIN_LOOKUP_INTERVAL_MS - sincePreviousMs),
    );
  }

  async function lookUp(): Promise<void> {
    isLookingUp = true;
    lookupStartedMs = nowMs();
    const startedMs = lookupStartedMs;
    const deadline = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
    const signal = anySignal(stopping.signal, deadline);
    const results = await Promise.allSettled(
      trackers.map(async (tracker) => {
        const { peers } = await tracker.list(userId, signal);
        // A member is answered without waiting for the other trackers.
        admit(peers);
      }),
    );
    isLookingUp = false;
    refuseUnknown(
      startedMs,
      results.every(({ status }) => status === 'fulfilled'),
    );
    planLookup();
  }

  function admit(peers: readonly KnownPeer[]): void {
    const members = peers.filter((peer) => peer.userId === userId && !isRevoked(peer.peerId));
    const byId = new Map(members.map(({ peerId, deviceId }) => [peerId, { userId, deviceId }]));
    for (const { peerId, accepts, settle } of waiting) {
      const member = byId.get(peerId);
      if (member === undefined || !accepts(member)) continue;
      remember(peerId, member, nowMs() + LISTED_MS);
      settle({ ok: true, member });
    }
    try {
      peerBook.remember(members, { isWaiting: false });
    } catch (error) {
      // The database is locked or read-only. The members that waited are remembered in memory.
      if (!(error instanceof DatabaseError)) throw error;
    }
  }

  /** Refuses the requesters that arrived before the look-up started. The others need a newer list. */
  function refuseUnknown(startedMs: number, isComplete: boolean): void {
    for (const { peerId, arrivedMs, settle } of waiting) {
      if (arrivedMs > startedMs) continue;
      // A known peer that is looked up again stays known.
      if (findKnown(peerId) === undefined) remember(peerId, undefined, startedMs + UNKNOWN_MS);
      settle(refused(isComplete ? 'no tracker lists the peer for this user' : 'no tracker answered in time'));
    }
  }

  async function waitForList(
    peerId: string,
    accepts: (member: Member) => boolean,
  ): ReturnType<Membership['check']> {
    if (trackers.length === 0 || stopping.signal.aborted)
      return refused('no tracker lists the peer for this user');
    if (waiting.size >= MAX_WAITING) return refused('too many unknown peers');
    return new Promise((resolve) => {
      const requester: Waiting = {
        peerId,
        arrivedMs: nowMs(),
        accepts,
        settle(result) {
          waiting.delete(requester);
          cancelTimeout();
          resolve(result);
        },
      };
      const cancelTimeout = schedule(
        () => requester.settle(refused('no tracker answered in time')),
        ANSWER_TIMEOUT_MS,
      );
      waiting.add(requester);
      planLookup();
    });
  }

  return {
    async check(peerId) {
      if (isRevoked(peerId)) return refused('the peer is revoked');
      const member = findKnown(peerId);
      if (member !== undefined) return { ok: true, member };
      if (recall(peerId) !== undefined) return refused('no tracker lists the peer for this user');
      return waitForList(peerId, () => true);
    },
    confirm: async (peerId, accepts) =>
      isRevoked(peerId) ? refused('the peer is revoked') : waitForList(peerId, accepts),
    isKnown: (peerId) => !isRevoked(peerId) && findKnown(peerId) !== undefined,
    isRevoked,
    stop() {
      stopping.abort(new Error('This peer is stopping.'));
      cancelLookup?.();
      for (const { settle } of waiting) settle(refused('no tracker answered in time'));
    },
  };
}

function scheduleTimer(work: () => void, milliseconds: number): () => void {
  const timer = setTimeout(work, milliseconds);
  return () => clearTimeout(timer);
}
