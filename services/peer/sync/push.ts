// Pushes what this device made to one peer: batch after batch from the push cursors in the store, over the connection of
// the pull before it. A cursor moves when the peer has acknowledged everything up to it.
import { describeError } from '../../shared/errors.ts';
import { DatabaseError } from '../history/database.ts';
import type { Owner, PushState, PushStore } from '../history/push-store.ts';
import { type PushBatch, PUSH_TARGET_BYTES, readBatch } from './push-batch.ts';
import type { PushPauses } from './push-pauses.ts';
import {
  decodePushAnswer,
  encodePushRequest,
  MAX_PUSH_ANSWER_BYTES,
  PUSH_PROTOCOLS,
  type PushAnswer,
} from './push-protocol.ts';
import { exchange, NoAnswerError, type OwnMembership } from './request.ts';
import { backoffAfter, idleTimeoutAfter, isFinal, isUnsupported, type RetryPolicy } from './retry.ts';
import type { TurnBudget } from './round-budget.ts';
import type { Session } from './session.ts';
import { StreamCutError } from './stream-io.ts';
import { MAX_LIMIT } from './sync-protocol.ts';

/**
 * Size of a batch in bytes of JSON above which a cut may mean that it was too large for the peer or for one circuit. Such a
 * batch is halved, and the cut does not count as a failure.
 */
const SMALL_BATCH_BYTES = 64 * 1024;

/** Maximum repetitions of a refused push in one turn. A peer also refuses what it cannot store just now. */
const MAX_REFUSALS = 2;

/** Pause in milliseconds before the first repetition. It doubles with the second one. */
const REFUSED_PAUSE_MS = 1_000;

export interface PushDeps {
  readonly pushes: Pick<PushStore, 'position' | 'move' | 'highest' | 'readEntries' | 'readDeletions'>;
  readonly owner: Owner;
  /** The only peers that get anything of this device; `undefined` when they are not limited. */
  readonly allowedPeers?: ReadonlySet<string> | undefined;
  /** The pauses of a watch. */
  readonly pauses?: PushPauses | undefined;
}

/** How a push ended; `paused`: nothing was sent, because an earlier one failed. */
export type PushResult = PushState | 'paused';

export interface PushReport {
  readonly state: PushResult;
  /** Entries and deletions that the peer acknowledged. It may have known some of them. */
  readonly entries: number;
  readonly deletions: number;
  /** Of the acknowledged entries so many were new to the peer, as far as it says so. */
  readonly inserted: number;
  /** Bytes on the wire. */
  readonly bytes: number;
  readonly durationMs: number;
  /** Why the push did not complete, as a whole sentence. */
  readonly problem: string | undefined;
}

export interface PushOptions {
  /** The user under whom the peer is registered; `undefined` when it is not known. */
  readonly userId?: string | undefined;
  /** Maximum entries and deletions of one push. */
  readonly limit: number;
  /** Ends after a batch when it is spent. */
  readonly budget?: Pick<TurnBudget, 'isSpent'> | undefined;
  readonly onProgress?: (report: Pick<PushReport, 'entries' | 'deletions'>) => void;
}

/** What a push requires of the dependencies of a turn. */
export interface PushContext {
  readonly retry: RetryPolicy;
  readonly own: OwnMembership;
  readonly nowMs: () => number;
  readonly sleep: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>;
}

/** The peer answered that it does not accept the push. */
export class PushRefusedError extends Error {
  override readonly name = 'PushRefusedError';
  readonly code = 'PUSH_REFUSED';

  constructor({ userId, trackers }: OwnMembership, { deviceId }: Owner) {
    const place = trackers.length === 0 ? 'no tracker' : trackers.join(', ');
    super(
      `The peer refused the push. It accepts only what a device that it knows has made itself: both need the same user_id (this device: "${userId}") and a tracker in common (this device uses ${place}), where this device must be registered as "${deviceId}". It may also be unable to store anything just now; its log has the reason`,
    );
  }
}

interface State {
  readonly session: Session;
  readonly push: PushDeps;
  /** Maximum bytes of a batch. It shrinks when batches are cut. */
  maxBytes: number;
  /** Consecutive failures since the last answer. */
  failures: number;
  /** Consecutive refusals. */
  refusals: number;
  entries: number;
  deletions: number;
  inserted: number;
  bytes: number;
}

/**
 * Pushes until nothing is left or the time of the turn ends. Failures of the network and of the peer are reported, not
 * thrown.
 *
 * @throws DatabaseError
 */
export async function pushTo(
  session: Session,
  push: PushDeps,
  deps: PushContext,
  options: PushOptions,
): Promise<PushReport> {
  const startedMs = deps.nowMs();
  const state: State = {
    session,
    push,
    maxBytes: PUSH_TARGET_BYTES,
    failures: 0,
    refusals: 0,
    entries: 0,
    deletions: 0,
    inserted: 0,
    bytes: 0,
  };
  const { state: result, problem } = await run(state, deps, options);
  if (result !== 'paused') push.pauses?.note(session.peerId, result);
  const { entries, deletions, inserted, bytes } = state;
  const durationMs = Math.round(deps.nowMs() - startedMs);
  return { state: result, entries, deletions, inserted, bytes, durationMs, problem };
}

type Outcome = Pick<PushReport, 'state' | 'problem'>;

async function run(state: State, deps: PushContext, options: PushOptions): Promise<Outcome> {
  const { session, push } = state;
  // The pull before it may have used the time.
  const isShort = session.isHalfOver();
  if (options.userId !== undefined && options.userId !== push.owner.userId)
    return {
      state: 'not allowed',
      problem: 'Nothing is pushed to this device, because it is registered for another user.',
    };
  if (push.allowedPeers?.has(session.peerId) === false)
    return {
      state: 'not allowed',
      problem: 'Nothing is pushed to this device, because it is not in allowed_peers.',
    };
  try {
    for (;;) {
      const next = await pushNext(state, deps, options);
      if (next !== 'more') return { state: next, problem: undefined };
      options.onProgress?.(state);
      if (options.budget?.isSpent() === true) return { state: 'unfinished', problem: undefined };
    }
  } catch (error) {
    if (error instanceof DatabaseError) throw error;
    return describeFailure(error, state, isShort);
  }
}

function describeFailure(error: unknown, { session, entries, deletions }: State, isShort: boolean): Outcome {
  const isStopped = session.signal.aborted && !session.isLate();
  // What was acknowledged is not sent again, so the next turn goes on.
  if (isStopped || (session.isLate() && (isShort || entries + deletions > 0)))
    return { state: 'unfinished', problem: undefined };
  if (session.isLate())
    return { state: 'failed', problem: `The peer did not accept a push within ${session.seconds} s.` };
  if (isUnsupported(error))
    return {
      state: 'unsupported',
      problem: 'The device runs a version that accepts no pushes. It gets the entries when it pulls them.',
    };
  const problem = `${describeError(error)}.`;
  return { state: error instanceof PushRefusedError ? 'refused' : 'failed', problem };
}

/** Pushes one batch, with the attempts of the retry policy. */
async function pushNext(
  state: State,
  deps: PushContext,
  { limit }: PushOptions,
): Promise<'more' | 'ok' | 'paused'> {
  const { session, push } = state;
  const { pushes, owner, pauses } = push;
  const { peerId } = session;
  for (;;) {
    const position = pushes.position(peerId);
    const limits = { items: Math.min(limit, MAX_LIMIT), bytes: state.maxBytes };
    const batch = readBatch(pushes, owner, position, limits);
    const isEmpty = batch.entries + batch.deletions === 0;
    if (!isEmpty) {
      if (pauses?.isPaused(peerId) === true) return 'paused';
      const answer = await send(state, deps, batch);
      if (answer === 'again') continue;
      if (!answer.ok) {
        await waitAfterRefusal(state, deps, batch);
        continue;
      }
      state.refusals = 0;
      state.inserted += answer.inserted ?? 0;
      state.entries += batch.entries;
      state.deletions += batch.deletions;
    }
    const isMoved = moves(batch) ? pushes.move(peerId, position, batch.to) : true;
    return isMoved && batch.isLast ? 'ok' : 'more';
  }
}

/**
 * Waits before a refused push is repeated. A peer that does not know this device refuses the next one, too. But one that
 * has accepted a push before, or was sent a large one, may be busy, and a one-shot sync has no later round.
 *
 * @throws PushRefusedError when it is not repeated
 */
async function waitAfterRefusal(state: State, deps: PushContext, { bytes }: PushBatch): Promise<void> {
  const { push, session, entries, deletions } = state;
  const isWorthwhile = push.pauses === undefined || entries + deletions > 0 || bytes > SMALL_BATCH_BYTES;
  if (!isWorthwhile || state.refusals >= MAX_REFUSALS) throw new PushRefusedError(deps.own, push.owner);
  state.refusals += 1;
  state.maxBytes = Math.max(SMALL_BATCH_BYTES, Math.floor(bytes / 2));
  await deps.sleep(REFUSED_PAUSE_MS * 2 ** (state.refusals - 1), session.signal);
}

function moves({ to }: PushBatch): boolean {
  return to.cursor !== undefined || to.deleteCursor !== undefined;
}

/** Sends a batch once. `again`: it failed, and the next attempt may succeed. */
async function send(state: State, deps: PushContext, batch: PushBatch): Promise<PushAnswer | 'again'> {
  const { session } = state;
  const { retry, sleep } = deps;
  try {
    const connection = await session.connect();
    const { protocol, message } = await exchange(
      connection,
      {
        protocols: PUSH_PROTOCOLS,
        encode: async (version) => {
          const bytes = await encodePushRequest(version, batch.request);
          state.bytes += bytes.length;
          return bytes;
        },
      },
      {
        idleTimeoutMs: idleTimeoutAfter(retry, state.failures),
        signal: session.signal,
        maxResponseBytes: MAX_PUSH_ANSWER_BYTES,
      },
    );
    const answer = await decodePushAnswer(protocol, message);
    state.failures = 0;
    session.onAnswer();
    return answer;
  } catch (error) {
    session.signal.throwIfAborted();
    session.onFailure(error);
    const isMaybeTooLarge =
      isCut(error) && batch.bytes > SMALL_BATCH_BYTES && batch.entries + batch.deletions > 1;
    if (!isMaybeTooLarge) state.failures += 1;
    if (isFinal(error) || state.failures >= retry.attempts) throw error;
    // A second timeout may mean that the batch is too large for the connection.
    if (isMaybeTooLarge || state.failures > 1)
      state.maxBytes = Math.max(SMALL_BATCH_BYTES, Math.floor(batch.bytes / 2));
    await session.release();
    await sleep(backoffAfter(retry, state.failures), session.signal);
    return 'again';
  }
}

/** Whether the stream or the connection ended before the answer was complete. */
function isCut(error: unknown): boolean {
  return error instanceof NoAnswerError ? error.isClosed : error instanceof StreamCutError;
}
