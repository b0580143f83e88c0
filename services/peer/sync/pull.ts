// Pulls the history of one peer: requests page after page from the store's cursor, over as many circuits as needed,
// until a page is empty.
import { describeError } from '../../shared/errors.ts';
import { anySignal } from '../../shared/signals.ts';
import { DatabaseError } from '../history/database.ts';
import type { Store } from '../history/store.ts';
import { DIAL_TIMEOUT_MS, type Dialed, type Dialer, DialFailedError, type Target } from '../network/dial.ts';
import type { DialAttempt } from '../network/dial-report.ts';
import { releaseConnection } from './connection.ts';
import { createCursorGuard, type CursorGuard } from './cursor-guard.ts';
import { addInvalid, type InvalidCounts, NONE_INVALID } from './invalid-items.ts';
import { NoAnswerError, type OwnMembership, probe, type RequestOptions, requestPage } from './request.ts';
import { createPullPosition, type PullProgressPosition } from './pull-position.ts';
import { backoffAfter, idleTimeoutAfter, isFinal, isRefusal, type RetryPolicy } from './retry.ts';
import type { TurnBudget } from './round-budget.ts';
import { MessageTooLargeError } from './stream-io.ts';
import { MAX_RESPONSE_BYTES, type PullResponse } from './sync-protocol.ts';

/** Default maximum entries and deletions of one page: the maximum of `rr`. */
export const DEFAULT_LIMIT = 1_000;

/** Maximum failed attempts in a report, because a large history uses many circuits. The oldest ones are dropped. */
const MAX_ATTEMPTS_KEPT = 64;

/**
 * Time for one peer in seconds, the same as in `rr`. A pull that has stored pages by then is interrupted and can
 * continue; one that has not fails.
 */
const PEER_SECONDS = 30;

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
}

export interface PullDeps {
  readonly dialer: Dialer;
  readonly store: Store;
  readonly retry: RetryPolicy;
  /** For the report when a peer does not answer this device. */
  readonly own: OwnMembership;
  /** Starts the time for one peer: a signal that aborts at its end. Default: after 30 seconds. */
  readonly startSlot?: () => AbortSignal;
  /** Maximum size of a response in bytes. Default 33,554,432, the maximum of the protocol. */
  readonly maxResponseBytes?: number;
  readonly nowMs: () => number;
  readonly nowUnixSeconds: () => number;
  /** Resolves after `milliseconds`; rejects when the signal aborts. */
  readonly sleep: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>;
}

export interface PullOptions {
  /** Maximum entries of one page. */
  readonly limit: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: PullProgress) => void;
  /** An open connection to the peer. Without one the pull connects. */
  readonly dialed?: Dialed | undefined;
  /** Ends the pull after a page when it is spent. Default: no limit but the time for one peer. */
  readonly budget?: TurnBudget | undefined;
}

/** The state of a pull in progress. */
interface PullState {
  readonly target: Target;
  /** Aborts at the end of the time for this peer, too. */
  readonly signal: AbortSignal;
  readonly guard: CursorGuard;
  readonly budget: TurnBudget | undefined;
  readonly attempts: DialAttempt[];
  readonly position: PullProgressPosition;
  limit: number;
  /** Consecutive failures since the last page. */
  failures: number;
  /** Time that is left for connecting to the peer, in milliseconds, until the next page arrives. */
  dialTimeoutMs: number;
  followUps: number;
  answers: number;
  pages: number;
  hasNewDatabase: boolean;
  dialed: Dialed | undefined;
  address: string | undefined;
  entries: number;
  duplicates: number;
  deleted: number;
  invalid: InvalidCounts;
  bytes: number;
}

/**
 * Pulls until a page is empty. Failures of the network and of the peer are reported, not thrown.
 *
 * @throws DatabaseError
 */
export async function pull(target: Target, deps: PullDeps, options: PullOptions): Promise<PullReport> {
  const { store, startSlot, nowMs, nowUnixSeconds } = deps;
  const { dialed, budget } = options;
  const startedMs = nowMs();
  const slot = startSlot?.() ?? AbortSignal.timeout(slotMs(budget));
  const state: PullState = {
    target,
    signal: anySignal(options.signal, slot),
    guard: createCursorGuard(store, target.peerId, nowUnixSeconds),
    budget,
    attempts: [...(dialed?.failed ?? [])],
    position: createPullPosition(store, target.peerId, nowUnixSeconds),
    limit: options.limit,
    failures: 0,
    dialTimeoutMs: DIAL_TIMEOUT_MS,
    followUps: 0,
    answers: 0,
    pages: 0,
    hasNewDatabase: false,
    dialed,
    address: dialed?.address,
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
    const isLate = slot.aborted && options.signal?.aborted !== true;
    isUnfinished = isLate && state.pages > 0;
    if (!isUnfinished) failure = isLate ? describeLate(state) : error;
  } finally {
    await releaseConnection(state);
  }
  const { address, entries, duplicates, deleted, invalid, bytes, hasNewDatabase, attempts } = state;
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
    attempts,
  };
}

function slotMs(budget: TurnBudget | undefined): number {
  return budget?.times.abortMs ?? PEER_SECONDS * 1_000;
}

function describeLate({ address, budget }: PullState): Error {
  const problem = address === undefined ? 'could not be reached' : 'did not send its entries';
  return new Error(`The peer ${problem} within ${Math.round(slotMs(budget) / 1_000)} s.`);
}

/** Gets and stores one page, with the attempts of the retry policy. Resolves to false when the page is empty. */
async function pullPage(state: PullState, deps: PullDeps): Promise<boolean> {
  const { retry, sleep } = deps;
  for (;;) {
    try {
      return await tryPage(state, deps);
    } catch (error) {
      state.signal.throwIfAborted();
      keepAttempts(state, attemptsOf(error, state.address));
      const canShrink = error instanceof MessageTooLargeError && state.limit > 1;
      if (isFollowedUp(error, state)) state.followUps += 1;
      else if (!canShrink) state.failures += 1;
      if ((isFinal(error) && !canShrink) || state.failures >= retry.attempts) throw error;
      // A circuit that reaches its limit causes one cut. A second cut before the next page may mean that the page is
      // too large for one circuit.
      if (canShrink || state.failures > 1) state.limit = Math.max(1, Math.floor(state.limit / 2));
      if (!canShrink) await releaseConnection(state);
      await sleep(backoffAfter(retry, state.failures), state.signal);
    }
  }
}

async function tryPage(state: PullState, deps: PullDeps): Promise<boolean> {
  const { dialer, retry, own, maxResponseBytes = MAX_RESPONSE_BYTES } = deps;
  const { guard, target, position } = state;
  const idleTimeoutMs = idleTimeoutAfter(retry, state.failures);
  if (state.dialed?.connection.status !== 'open') {
    const startedMs = deps.nowMs();
    state.dialed = await dialer.connect(target, state.dialTimeoutMs, state.signal);
    state.dialTimeoutMs = Math.max(0, state.dialTimeoutMs - Math.ceil(deps.nowMs() - startedMs));
    state.address = state.dialed.address;
    keepAttempts(state, state.dialed.failed);
  }
  const options = { idleTimeoutMs, signal: state.signal, maxResponseBytes };
  const isProbed = guard.needsProbe();
  if (isProbed) {
    await probe(state.dialed.connection, own, options);
    guard.onProbeAnswered();
  }
  const { response, bytes } = await requestGuarded(state, state.dialed, {
    ...options,
    // The last try for an hour. A busy peer may need longer than the first timeout.
    idleTimeoutMs: isProbed ? Math.max(idleTimeoutMs, retry.timeoutCapMs) : idleTimeoutMs,
  });
  state.bytes += bytes;
  state.failures = 0;
  // A large history needs many circuits, each of which may be dialed for as long.
  state.dialTimeoutMs = DIAL_TIMEOUT_MS;
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
  { connection }: Dialed,
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

/** The attempts of a failure. A failure on an open connection is an attempt at the stage "protocol". */
function attemptsOf(error: unknown, address: string | undefined): readonly DialAttempt[] {
  if (error instanceof DialFailedError) return error.attempts;
  return address === undefined ? [] : [{ address, stage: 'protocol', reason: describeError(error) }];
}

function keepAttempts({ attempts }: PullState, more: readonly DialAttempt[]): void {
  attempts.push(...more);
  attempts.splice(0, attempts.length - MAX_ATTEMPTS_KEPT);
}
