// Tries addresses of several kinds at the same time, in the manner of RFC 8305 ("happy eyeballs"): the preferred kind
// has a short start, the first connection is used, and all others are closed.
import { aborted, anySignal } from '../../shared/signals.ts';

/** Time in milliseconds for which the end of attempts is awaited after they were aborted. */
const ABANDON_MS = 1_000;

/** The addresses of one kind, best first. */
export interface Lane<Candidate> {
  readonly candidates: readonly Candidate[];
  /** Time after the start of the race at which the lane starts, in milliseconds; earlier if all others have failed. */
  readonly delayMs: number;
  /** Time after which the next candidate is tried although the one before has not failed, in milliseconds. */
  readonly staggerMs: number;
}

export interface RaceOptions<Candidate, Winner extends object> {
  /** Resolves to `undefined` after a failure. The signal aborts when another candidate has won. */
  readonly attempt: (candidate: Candidate, signal: AbortSignal) => Promise<Winner | undefined>;
  /** Called with each result that came too late. */
  readonly discard: (loser: Winner) => void;
  readonly signal: AbortSignal;
  /** Resolves after `milliseconds`; rejects when the signal aborts. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

/** Resolves to the first success, or to `undefined` when all attempts have failed or the signal aborts. */
export async function race<Candidate, Winner extends object>(
  lanes: ReadonlyArray<Lane<Candidate>>,
  { attempt, discard, signal, sleep }: RaceOptions<Candidate, Winner>,
): Promise<Winner | undefined> {
  const finished = new AbortController();
  const stop = anySignal(signal, finished.signal);
  const won = Promise.withResolvers<Winner>();
  let isWon = false;

  async function start(candidate: Candidate): Promise<void> {
    // A signal of its own, because the library closes a connection when the signal of its dial aborts later.
    const own = new AbortController();
    const onStop = (): void => own.abort(stop.reason);
    stop.addEventListener('abort', onStop, { once: true });
    const result = await attempt(candidate, own.signal);
    stop.removeEventListener('abort', onStop);
    if (result === undefined) return;
    if (isWon || signal.aborted) {
      discard(result);
      return;
    }
    isWon = true;
    won.resolve(result);
    finished.abort(new Error('Another address was faster.'));
  }

  /** Waits for a time, for the end of the work or for the end of the race. */
  async function waitFor(milliseconds: number, work: Promise<unknown>): Promise<void> {
    const done = new AbortController();
    const pause = sleep(milliseconds, anySignal(stop, done.signal)).catch(() => {});
    await Promise.race([pause, work]);
    done.abort();
  }

  async function run({ candidates, staggerMs }: Lane<Candidate>): Promise<void> {
    const attempts: Array<Promise<void>> = [];
    for (const candidate of candidates) {
      if (stop.aborted) break;
      const started = start(candidate);
      attempts.push(started);
      await waitFor(staggerMs, started);
    }
    await Promise.all(attempts);
  }

  async function runAll(): Promise<undefined> {
    const running: Array<Promise<void>> = [];
    for (const lane of lanes) {
      if (lane.delayMs > 0) await waitFor(lane.delayMs, Promise.all(running));
      running.push(run(lane));
    }
    await Promise.all(running);
    return undefined;
  }

  /** After an abort, attempts have a moment to end, so that they can report how far they came. */
  async function abandon(): Promise<undefined> {
    await aborted(signal);
    const { promise, resolve } = Promise.withResolvers<undefined>();
    setTimeout(() => resolve(undefined), ABANDON_MS).unref();
    return promise;
  }

  return Promise.race([won.promise, runAll(), abandon()]);
}
