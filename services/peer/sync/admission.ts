// Admits requesters by `serve_to` and `allowed_peers`, logs refusals, and takes the cursors of members as acknowledgements.
import { unixSeconds } from '../../shared/clock.ts';
import { createLimitedLog } from '../../shared/limited-log.ts';
import type { Logger } from '../../shared/log.ts';
import { refused, type Result } from '../../shared/result.ts';
import { DatabaseError } from '../history/database.ts';
import type { HighRequest } from '../history/high-requests.ts';
import type { Store } from '../history/store.ts';
import type { Member, Membership, NotMemberReason } from './membership.ts';
import type { PullRequest } from './sync-protocol.ts';

/** Maximum refusals of one reason in the log per minute. */
const REFUSALS_PER_MINUTE = 5;

/** Maximum peers of which the last warning is remembered. Above this limit all are forgotten. */
const MAX_REMEMBERED = 1_024;

/** Minimum time between two warnings about one peer that asks for too much, in seconds. `doctor` shows those of one day. */
const WARN_INTERVAL_SECONDS = 3_600;

/** Advice in the first refusal, because the user cannot see which version the other device runs. */
const ADVICE =
  'If it is a device of yours, compare its user_id and its trackers with those of this device. A device with rr 0.1 has a random peer id at each sync; set serve_to = "anyone" to answer it.';

/** The same for a device that is not in the list of the configuration. */
const ALLOWED_PEERS_ADVICE =
  'If it is a device of yours, add its peer id to allowed_peers. A device with rr 0.1 has a random peer id at each sync and is always refused while allowed_peers is set.';

export interface Admission {
  /** Whether the peer is answered. `isMember` is false for a peer that is answered only because anyone is. */
  admit(peer: string): Promise<Result<{ readonly isMember: boolean }, NotMemberReason>>;
  /**
   * The registration of a peer whose pushes are stored; `undefined` for a peer that is in no list, whose pushes are stored only
   * because anyone is answered. Such a peer is looked up, because a member may push only its own items.
   */
  admitPush(peer: string): Promise<Result<{ readonly member: Member | undefined }, NotMemberReason>>;
  /**
   * Takes the cursors of a request as an acknowledgement of a member.
   *
   * Cursors that this database never had acknowledge nothing, and are reported.
   *
   * @returns whether the database ever had the cursors
   */
  acknowledge(peer: string, isMember: boolean, request: PullRequest): boolean;
}

export interface AdmissionDeps {
  readonly membership: Membership;
  /** Whether pulls and pushes of peers that are not members are answered too. */
  readonly answersAnyone: boolean;
  /** The only peers that are answered; `undefined` when they are not limited. */
  readonly allowedPeers?: ReadonlySet<string> | undefined;
  readonly store: Pick<Store, 'highestStored' | 'isNeverStored' | 'acknowledge' | 'noteHighRequest'>;
  readonly log: Logger;
  readonly nowMs: () => number;
}

export function createAdmission(deps: AdmissionDeps): Admission {
  const { membership, answersAnyone, allowedPeers, store, log, nowMs } = deps;
  const logRefusal = createLimitedLog<NotMemberReason>({ log, perMinute: REFUSALS_PER_MINUTE, nowMs });
  /** When the peers that asked for too much were last noted, in Unix seconds. */
  const warned = new Map<string, number>();
  const advised = new Set<string>();

  function acknowledge(peer: string, { cursor, deleteCursor }: PullRequest): void {
    try {
      store.acknowledge(peer, { cursor, deleteCursor });
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error;
      // A history that cannot be written can still be read. The next pull acknowledges the same.
      log.debug({ peer, error: error.message }, 'acknowledgement not stored');
    }
  }

  function reportTooHigh(peer: string, { cursor, deleteCursor = 0 }: PullRequest): void {
    const fields = { peer, cursor, deleteCursor, highest: store.highestStored() };
    const message =
      'a peer has pulled more than this database ever stored; was an older copy of the database restored?';
    // The peer repeats its request in each of its rounds.
    const seenUnixSeconds = unixSeconds();
    const lastUnixSeconds = warned.get(peer) ?? -Infinity;
    const isKnown = Math.abs(seenUnixSeconds - lastUnixSeconds) < WARN_INTERVAL_SECONDS;
    log[isKnown ? 'debug' : 'warn'](fields, message);
    if (isKnown) return;
    noteForDoctor({ peerId: peer, cursor, deleteCursor, seenUnixSeconds });
    if (warned.size >= MAX_REMEMBERED) warned.clear();
    warned.set(peer, seenUnixSeconds);
  }

  function noteForDoctor(request: HighRequest): void {
    try {
      store.noteHighRequest(request);
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error;
      log.debug({ peer: request.peerId, error: error.message }, 'request not stored');
    }
  }

  return {
    async admit(peer) {
      // Before the look-up, so that others cause no request to a tracker.
      if (allowedPeers?.has(peer) === false) return refuse('pull', peer, 'the peer is not in allowed_peers');
      if (answersAnyone)
        return membership.isRevoked(peer)
          ? refuse('pull', peer, 'the peer is revoked')
          : { ok: true, isMember: membership.isKnown(peer) };
      const result = await membership.check(peer);
      return result.ok ? { ok: true, isMember: true } : refuse('pull', peer, result.reason);
    },
    async admitPush(peer) {
      if (allowedPeers?.has(peer) === false) return refuse('push', peer, 'the peer is not in allowed_peers');
      const result = await membership.check(peer);
      if (result.ok) return result;
      if (answersAnyone && result.reason !== 'the peer is revoked') return { ok: true, member: undefined };
      return refuse('push', peer, result.reason);
    },
    acknowledge(peer, isMember, request) {
      const isTooHigh = store.isNeverStored(request);
      if (isTooHigh) reportTooHigh(peer, request);
      // Random peer ids would let the table of acknowledgements grow without limit.
      else if (isMember) acknowledge(peer, request);
      return !isTooHigh;
    },
  };

  function refuse(kind: 'pull' | 'push', peer: string, reason: NotMemberReason) {
    const advice = reason === 'the peer is not in allowed_peers' ? ALLOWED_PEERS_ADVICE : ADVICE;
    const needsAdvice = !advised.has(advice) && reason !== 'the peer is revoked';
    if (needsAdvice) advised.add(advice);
    logRefusal(reason, { peer, reason, ...(needsAdvice ? { advice } : {}) }, `${kind} refused`, peer);
    return refused(reason);
  }
}
