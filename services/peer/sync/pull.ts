// Pulls the history of one peer: requests page after page from the store's cursor, over as many circuits as needed,
// until a page is empty.
import { describeError } from '../../shared/errors.ts';
import { DatabaseError } from '../history/database.ts';
import type { Store } from '../history/store.ts';
import type { Dialed, Target } from '../network/dial.ts';
import type { DialAttempt } from '../network/dial-report.ts';
import { createCursorGuard, type CursorGuard } from './cursor-guard.ts';
import { addInvalid, type InvalidCounts, NONE_INVALID } from './invalid-items.ts';
import type { PushReport } from './push.ts';
import { NoAnswerError, type OwnMembership, probe, type RequestOptions, requestPage } from './request.ts';
import { createPullPosition, type PullProgressPosition } from './pull-position.ts';
import { backoffAfter, idleTimeoutAfter, isFinal, isRefusal, type RetryPolicy } from './retry.ts';
import type { TurnBudget } from './round-budget.ts';
import { type Session, type SessionDeps, startSession } from './session.ts';
import { MessageTooLargeError } from './stream-io.ts';
import { MAX_RESPONSE_BYTES, type PullResponse } from './sync-protocol.ts';

/** Default maximum entries and deletions of one page: the maximum of `rr`. */
export const DEFAULT_LIMIT = 1_000;

/** Maximum requests in a pull that were closed without an answer and are not failures: a probe and a new start follow. */
const MAX_FOLLOW_UPS = 2;

export interface PullProgress {
  readonly entries: number;
  readonly bytes: number;
}

/** The result of a pull. Entries that were stored before an error are kept. */
export interface PullReport extends PullProgress {
  readonly peerId: string;
  /** The address of the connection; `undefined` when the peer could not be reached. */
  readonly address: string | undefined;
  readonly duplicates: number;
  /** Entries that were removed here, because a device of the user deleted them. */
  readonly deleted: number;
  /** Entries and deletions of the peer that are not valid, and were skipped. */
  readonly invalid: InvalidCounts;
  readonly durationMs: number;
  readonly nextCursor: number;
  /** Whether the time for this peer ended before its history did. The next pull continues at the cursor. */
  readonly isUnfinished: boolean;
  /** Whether the peer has a new database, so that its history was requested from the start. */
  readonly hasNewDatabase: boolean;
  /** Whether the peer refuses this device or its cursors. Asking again soon would not help, and costs the peer a look-up. */
  readonly isRefused: boolean;
  /** Description of the error that ended the pull; `undefined` when it completed. */
  readonly error: string | undefined;
  /** Failed attempts to connect, also those before a successful one. */
  readonly attempts: readonly DialAttempt[];
  /** The push after the pull; absent when there was none. */
  readonly push?: PushReport | undefined;
}

export interface PullDeps extends SessionDeps {
  readonly store: Store;
  readonly retry: RetryPolicy;
  /** For the report when a peer does not answer this device. */
  readonly own: OwnMembership;
  /** Maximum size of a response in bytes. Default 33,554,432, the maximum of the protocol. */
  readonly maxResponseBytes?: number;
  readonly nowUnixSeconds: () => number;
  /** Resolves after `milliseconds`; rejects when the signal aborts. */
  readonly sleep: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>;
}

export interface PullOptions {
  /** Maximum entries of one page. */
  readonly limit: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: PullProgress) => void;
  /** The connection and the time. Without one the pull connects, and disconnects at its end. */
  readonly session?: Session | undefined;
  /** Ends the pull after a page when it is spent. Default: no limit but the time for one peer. */
  readonly budget?: TurnBudget | undefined;
}

/** The state of a pull in progress. */
interface PullState {
  readonly session: Session;
  readonly guard: CursorGuard;
  readonly budget: TurnBudget | undefined;
  readonly position: PullProgressPosition;
  limit: number;
  /** Consecutive failures since the last page. */
  failures: number;
  followUps: number;
  answers: number;
  pages: number;
  hasNewDatabase: boolean;
  entries: number;
  duplicates: number;
  deleted: number;
  invalid: InvalidCounts;
  bytes: number;
}

/**
 * Pulls until a page is empty. Failures of the network and of the peer are reported, not thrown. At the end of the time for
 * the peer a pull that has stored pages is interrupted and can continue; one that has not fails.
 *
 * @throws DatabaseError
 */
export async function pull(target: Target, deps: PullDeps, options: PullOptions): Promise<PullReport> {
  const { store, nowMs, nowUnixSeconds } = deps;
  const { budget } = options;
  const startedMs = nowMs();
  const session =
    options.session ?? startSession(target, deps, { signal: options.signal, timeMs: budget?.times.abortMs });
  const state: PullState = {
    session,
    guard: createCursorGuard(store, target.peerId, nowUnixSeconds),
    budget,
    position: createPullPosition(store, target.peerId, nowUnixSeconds),
    limit: options.limit,
    failures: 0,
    followUps: 0,
    answers: 0,
    pages: 0,
    hasNewDatabase: false,
    entries: 0,
    duplicates: 0,
    deleted: 0,
    invalid: NONE_INVALID,
    bytes: 0,
  };
  let failure: unknown;
  let isUnfinished = false;
  try {
    while (!isUnfinished && (await pullPage(state, deps))) {
      options.onProgress?.(state);
      isUnfinished = budget?.isSpent() ?? false;
    }
  } catch (error) {
    if (error instanceof DatabaseError) throw error;
    const isLate = session.isLate();
    isUnfinished = isLate && state.pages > 0;
    if (!isUnfinished) failure = isLate ? describeLate(session) : error;
  } finally {
    if (options.session === undefined) await session.release();
  }
  const { entries, duplicates, deleted, invalid, bytes, hasNewDatabase } = state;
  const { address, attempts } = session;
  return {
    peerId: target.peerId,
    address,
    entries,
    duplicates,
    deleted,
    invalid,
    bytes,
    durationMs: Math.round(nowMs() - startedMs),
    nextCursor: state.position.current.cursor,
    isUnfinished,
    hasNewDatabase,
    isRefused: isRefusal(failure),
    error: failure === undefined ? undefined : describeError(failure),
    // What the session does later is not part of this report.
    attempts: [...attempts],
  };
}

function describeLate({ address, seconds }: Session): Error {
  const problem = address === undefined ? 'could not be reached' : 'did not send its entries';
  return new Error(`The peer ${problem} within ${seconds} s.`);
}

/** Gets and stores one page, with the attempts of the retry policy. Resolves to false when the page is empty. */
async function pullPage(state: PullState, deps: PullDeps): Promise<boolean> {
  const { retry, sleep } = deps;
  const { session } = state;
  for (;;) {
    try {
      return await tryPage(state, deps);
    } catch (error) {
      session.signal.throwIfAborted();
      session.onFailure(error);
      const canShrink = error instanceof MessageTooLargeError && state.limit > 1;
      if (isFollowedUp(error, state)) state.followUps += 1;
      else if (!canShrink) state.failures += 1;
      if ((isFinal(error) && !canShrink) || state.failures >= retry.attempts) throw error;
      // A circuit that reaches its limit causes one cut. A second cut before the next page may mean that the page is
      // too large for one circuit.
      if (canShrink || state.failures > 1) state.limit = Math.max(1, Math.floor(state.limit / 2));
      if (!canShrink) await session.release();
      await sleep(backoffAfter(retry, state.failures), session.signal);
    }
  }
}

async function tryPage(state: PullState, deps: PullDeps): Promise<boolean> {
  const { retry, own, maxResponseBytes = MAX_RESPONSE_BYTES } = deps;
  const { session, guard, position } = state;
  const idleTimeoutMs = idleTimeoutAfter(retry, state.failures);
  const connection = await session.connect();
  const options = { idleTimeoutMs, signal: session.signal, maxResponseBytes };
  const isProbed = guard.needsProbe();
  if (isProbed) {
    await probe(connection, own, options);
    guard.onProbeAnswered();
  }
  const { response, bytes } = await requestGuarded(state, connection, {
    ...options,
    // The last try for an hour. A busy peer may need longer than the first timeout.
    idleTimeoutMs: isProbed ? Math.max(idleTimeoutMs, retry.timeoutCapMs) : idleTimeoutMs,
  });
  state.bytes += bytes;
  state.failures = 0;
  session.onAnswer();
  const stored = position.store(response);
  state.budget?.spend(response, stored.duplicates);
  state.duplicates += stored.duplicates;
  state.deleted += stored.deleted;
  state.entries += stored.entries.length;
  state.invalid = addInvalid(state.invalid, stored.invalid);
  state.hasNewDatabase ||= stored.isRestarted;
  state.answers += 1;
  if (stored.isProgress) state.pages += 1;
  return stored.hasMore;
}

/** Requests the page at the cursors, and remembers whether these got an answer. */
async function requestGuarded(
  state: PullState,
  connection: Dialed['connection'],
  options: RequestOptions,
): Promise<{ readonly response: PullResponse; readonly bytes: number }> {
  const { limit, guard, position } = state;
  const request = position.request(limit);
  const { cursor, deleteCursor = 0 } = request;
  const cursors = { cursor, deleteCursor };
  try {
    return await requestPage(connection, request, {
      ...options,
      beforeSend: () => guard.beforeSend(cursors),
      onAnswer: () => guard.onAnswered(),
    });
  } catch (error) {
    if (!(error instanceof NoAnswerError)) throw error;
    if (guard.onUnanswered(cursors, error.isClosed, state.answers === 0)) {
      if (position.restart()) state.hasNewDatabase = true;
      guard.onRestarted();
    }
    throw error;
  }
}

/** Whether the request is followed by a probe, or by one from the start, whatever the number of attempts. */
function isFollowedUp(error: unknown, { followUps }: PullState): boolean {
  return error instanceof NoAnswerError && error.isClosed && followUps < MAX_FOLLOW_UPS;
}
