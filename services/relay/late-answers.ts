// Answers that are given late, because a client that is refused or refreshes in a loop sends its next request as soon as
// it has an answer. Waiting costs one open stream; a client that gives up closes the stream, which ends the wait.
import { monotonicMs } from '../shared/clock.ts';
import type { LoopClock } from '../shared/loop-clock.ts';
import { addTo } from './counts.ts';
import { MAX_RATED_PEERS } from './reservation-store.ts';

/** Maximum answers that wait, in total and of one peer. Further ones are given at once. */
const MAX_WAITING = 4_096;
const MAX_WAITING_PER_PEER = 16;

/** Delay of the second refusal in a row, in milliseconds. It doubles with each further one, up to `MAX_REFUSAL_DELAY_MS`. */
const FIRST_REFUSAL_DELAY_MS = 1_000;

/** Maximum delay of a refusal, in milliseconds. `rust-libp2p` waits 60 s for the answer to a request. */
export const MAX_REFUSAL_DELAY_MS = 10_000;

/** Time without a refusal after which the next one is given at once again, in milliseconds: the longest pause of `rr` 1.x. */
const FORGET_REFUSALS_MS = 60_000;

/** The stream that waits for an answer. */
export interface WaitingStream {
  /** Calls back when the stream closes. The returned function removes the callback. */
  onClose(callback: () => void): () => void;
}

export interface LateAnswers {
  /** Resolves after the delay, and earlier when the stream closes, when too many answers wait or when draining. */
  wait(peer: string, delayMs: number, stream: WaitingStream): Promise<void>;
  /** Ends all waits, now and later. */
  drain(): void;
}

export function createLateAnswers(clock: Pick<LoopClock, 'after'>): LateAnswers {
  const waiting = new Set<() => void>();
  const countByPeer = new Map<string, number>();
  let isDraining = false;

  return {
    async wait(peer, delayMs, stream) {
      if (isDraining || delayMs <= 0 || waiting.size >= MAX_WAITING) return;
      if ((countByPeer.get(peer) ?? 0) >= MAX_WAITING_PER_PEER) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.add(resolve);
      addTo(countByPeer, peer, 1);
      const cancel = clock.after(delayMs, resolve);
      const removeListener = stream.onClose(resolve);
      await promise;
      removeListener();
      cancel();
      waiting.delete(resolve);
      addTo(countByPeer, peer, -1);
    },
    drain() {
      isDraining = true;
      for (const resolve of waiting) resolve();
    },
  };
}

export interface RefusalDelays {
  /** Counts a refusal and returns its delay in milliseconds: 0 for the first one. */
  next(peer: string): number;
  /** Forgets the refusals of a peer, because it was served. */
  clear(peer: string): void;
}

/** @param nowMs monotonic clock */
export function createRefusalDelays(nowMs: () => number = monotonicMs): RefusalDelays {
  /** The refusals in a row of each peer, the longest unrefused peer first. */
  const refusals = new Map<string, { readonly count: number; readonly atMs: number }>();

  function forget(): void {
    for (const [peer, { atMs }] of refusals) {
      if (refusals.size < MAX_RATED_PEERS && nowMs() - atMs < FORGET_REFUSALS_MS) return;
      refusals.delete(peer);
    }
  }

  return {
    next(peer) {
      forget();
      const count = refusals.get(peer)?.count ?? 0;
      const delayMs =
        count === 0 ? 0 : Math.min(MAX_REFUSAL_DELAY_MS, FIRST_REFUSAL_DELAY_MS * 2 ** (count - 1));
      // A delayed refusal counts from the time at which it is given.
      refusals.delete(peer);
      refusals.set(peer, { count: Math.min(count + 1, 16), atMs: nowMs() + delayMs });
      return delayMs;
    },
    clear: (peer) => void refusals.delete(peer),
  };
}
