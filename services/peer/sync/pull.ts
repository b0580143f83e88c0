// Pulls the history of one peer: asks page after page from where the store's cursor stands, over as many circuits
// as that takes, until nothing more comes.
import type { Connection } from '@libp2p/interface';
import { describeError, toError } from '../../shared/errors.ts';
import { DatabaseError } from '../history/database.ts';
import { type Dialed, type Dialer, DialFailedError, type Target } from '../network/dial.ts';
import type { DialAttempt } from '../network/dial-report.ts';
import { backoffOf, isFinal, type RetryPolicy, silenceOf } from './retry.ts';
import type { Store } from '../history/store.ts';
import { MessageTooLargeError, readToEnd, writeAndClose } from './stream-io.ts';
import {
  decodeAnswer,
  encodeRequest,
  MAX_RESPONSE_BYTES,
  PULL_PROTOCOLS,
  type PullAnswer,
  type PullRequest,
} from './sync-protocol.ts';

/** Entries asked for at once where nothing else is said: about 1 MB of JSON. */
export const DEFAULT_LIMIT = 5_000;

/** Failed attempts to connect that a report keeps; a large history takes many circuits. */
const MAX_ATTEMPTS_KEPT = 64;

/** How long a circuit may take to say goodbye, in milliseconds. */
const CLOSE_TIMEOUT_MS = 1_000;

/** How far a pull has come. */
export interface PullProgress {
  readonly entries: number;
  readonly bytes: number;
}

/** What became of a pull; with an error, what was stored before it stays. */
export interface PullReport extends PullProgress {
  readonly peerId: string;
  /** The address that led to the peer, or `undefined` when none did. */
  readonly address: string | undefined;
  readonly duplicates: number;
  readonly durationMs: number;
  readonly nextCursor: number;
  readonly error: string | undefined;
  /** Every attempt to connect that failed, also when a later one succeeded. */
  readonly attempts: readonly DialAttempt[];
}

export interface PullDeps {
  readonly dialer: Dialer;
  readonly store: Store;
  readonly retry: RetryPolicy;
  /** Milliseconds that only grow. */
  readonly clock: () => number;
  /** Resolves after that many milliseconds; rejects when the signal aborts. */
  readonly sleep: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>;
}

export interface PullOptions {
  /** Entries asked for at once. */
  readonly limit: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: PullProgress) => void;
}

/** A pull under way. */
interface Run {
  readonly target: Target;
  readonly signal: AbortSignal | undefined;
  readonly attempts: DialAttempt[];
  cursor: number;
  limit: number;
  /** Failures in a row since the last page. */
  failures: number;
  dialed: Dialed | undefined;
  address: string | undefined;
  entries: number;
  duplicates: number;
  bytes: number;
}

/**
 * Pulls all there is. What the network or the peer does wrong is told by the report.
 *
 * @throws DatabaseError
 */
export async function pull(target: Target, deps: PullDeps, options: PullOptions): Promise<PullReport> {
  const startedAt = deps.clock();
  const run: Run = {
    target,
    signal: options.signal,
    attempts: [],
    cursor: deps.store.cursorOf(target.peerId),
    limit: options.limit,
    failures: 0,
    dialed: undefined,
    address: undefined,
    entries: 0,
    duplicates: 0,
    bytes: 0,
  };
  let failure: unknown;
  try {
    while (await nextPage(run, deps)) options.onProgress?.(run);
  } catch (error) {
    if (error instanceof DatabaseError) throw error;
    failure = error;
  } finally {
    await release(run);
  }
  const { address, entries, duplicates, bytes, cursor: nextCursor, attempts } = run;
  const error = failure === undefined ? undefined : describeError(failure);
  const durationMs = Math.round(deps.clock() - startedAt);
  return {
    peerId: target.peerId,
    address,
    entries,
    duplicates,
    bytes,
    durationMs,
    nextCursor,
    error,
    attempts,
  };
}

/** Gets and stores one page, trying again as the policy says; false when there is nothing more. */
async function nextPage(run: Run, deps: PullDeps): Promise<boolean> {
  const { retry, sleep } = deps;
  for (;;) {
    try {
      return await tryPage(run, deps);
    } catch (error) {
      run.signal?.throwIfAborted();
      keepAttempts(run, attemptsOf(error, run.address));
      const isTooLarge = error instanceof MessageTooLargeError && run.limit > 1;
      if (!isTooLarge) run.failures += 1;
      if ((isFinal(error) && !isTooLarge) || run.failures >= retry.attempts) throw error;
      // One cut is the normal end of a circuit; a second without a page between may mean that the page is larger
      // than a whole circuit.
      if (isTooLarge || run.failures > 1) run.limit = Math.max(1, Math.floor(run.limit / 2));
      if (!isTooLarge) await release(run);
      await sleep(backoffOf(retry, run.failures), run.signal);
    }
  }
}

async function tryPage(run: Run, { dialer, store, retry }: PullDeps): Promise<boolean> {
  const timeoutMs = silenceOf(retry, run.failures);
  if (run.dialed?.connection.status !== 'open') {
    run.dialed = await dialer.connect(run.target, timeoutMs, run.signal);
    run.address = run.dialed.address;
    keepAttempts(run, run.dialed.failed);
  }
  const { cursor, limit, target } = run;
  const { answer, bytes } = await ask(run.dialed, { cursor, limit }, timeoutMs, run.signal);
  run.bytes += bytes;
  run.failures = 0;
  if (answer.nextCursor === undefined) return false;
  const { duplicates } = store.insert(answer.entries, { peerId: target.peerId, cursor: answer.nextCursor });
  run.cursor = answer.nextCursor;
  run.entries += answer.entries.length;
  run.duplicates += duplicates;
  return true;
}

/** What a failure tells of the addresses that were tried; one on an open connection is about the protocol. */
function attemptsOf(error: unknown, address: string | undefined): readonly DialAttempt[] {
  if (error instanceof DialFailedError) return error.attempts;
  return address === undefined ? [] : [{ address, stage: 'protocol', reason: describeError(error) }];
}

/** The newest attempts: the last ones tell why a pull failed. */
function keepAttempts({ attempts }: Run, more: readonly DialAttempt[]): void {
  attempts.push(...more);
  attempts.splice(0, attempts.length - MAX_ATTEMPTS_KEPT);
}

async function ask(
  { connection }: Dialed,
  request: PullRequest,
  silenceMs: number,
  signal: AbortSignal | undefined,
): Promise<{ readonly answer: PullAnswer; readonly bytes: number }> {
  const deadline = AbortSignal.timeout(silenceMs);
  const stream = await connection.newStream([...PULL_PROTOCOLS], {
    signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
    runOnLimitedConnection: true,
  });
  await writeAndClose(stream, await encodeRequest(stream.protocol, request), { silenceMs, signal });
  const message = await readToEnd(stream, MAX_RESPONSE_BYTES, { silenceMs, signal });
  return { answer: await decodeAnswer(stream.protocol, message, request), bytes: message.length };
}

/** Gives the circuit back to the relay, unless the other device is using it just now. */
async function release(run: Run): Promise<void> {
  const connection = run.dialed?.connection;
  run.dialed = undefined;
  if (connection === undefined || connection.status !== 'open' || isInUse(connection)) return;
  try {
    await connection.close({ signal: AbortSignal.timeout(CLOSE_TIMEOUT_MS) });
  } catch (error) {
    connection.abort(toError(error));
  }
}

function isInUse({ streams }: Connection): boolean {
  return streams.some(({ protocol }) => PULL_PROTOCOLS.includes(protocol));
}
