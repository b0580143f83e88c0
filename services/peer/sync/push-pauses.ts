// The pauses of a watch after pushes that a peer refused or that failed, so that they do not cost each round. The peer is
// pulled all the same. A one-shot sync and the first round of a watch push to every peer.
import type { PushState } from '../history/push-store.ts';

/** First pause in milliseconds after each kind of end. It doubles with each further one in a row. */
const FIRST_PAUSE_MS: Readonly<Partial<Record<PushState, number>>> = {
  // A relay restarts within this time.
  failed: 10_000,
  // Each refusal costs `rr` a look-up at its tracker, but a registration that was late is known there after seconds.
  refused: 30_000,
  unsupported: 60_000,
};

/** Maximum pause in milliseconds. */
const MAX_PAUSE_MS = 600_000;

/** Maximum peers that are remembered. Above this limit the oldest one is forgotten, which costs one push. */
const MAX_REMEMBERED = 1_024;

export interface PushPauses {
  isPaused(peerId: string): boolean;
  /** Remembers how a push ended. */
  note(peerId: string, state: PushState): void;
  /** Time until the first pause after a push that failed ends, in milliseconds; `undefined` without one. */
  retryInMs(): number | undefined;
  /** Ends all pauses, because the network of this device has changed. */
  clear(): void;
}

interface Pause {
  readonly state: PushState;
  readonly pauseMs: number;
  readonly untilMs: number;
}

/** @param nowMs monotonic clock in milliseconds */
export function createPushPauses(nowMs: () => number): PushPauses {
  const pauses = new Map<string, Pause>();
  return {
    isPaused: (peerId) => nowMs() < (pauses.get(peerId)?.untilMs ?? -Infinity),
    note(peerId, state) {
      const before = pauses.get(peerId);
      pauses.delete(peerId);
      const firstMs = FIRST_PAUSE_MS[state];
      if (firstMs === undefined) return;
      const pauseMs = Math.min(MAX_PAUSE_MS, Math.max(firstMs, (before?.pauseMs ?? 0) * 2));
      pauses.set(peerId, { state, pauseMs, untilMs: nowMs() + pauseMs });
      const [oldest] = pauses.keys();
      if (pauses.size > MAX_REMEMBERED && oldest !== undefined) pauses.delete(oldest);
    },
    retryInMs() {
      // A refusal is not worth a round of its own.
      const leftMs = [...pauses.values()]
        .filter(({ state }) => state === 'failed')
        .map(({ untilMs }) => untilMs - nowMs())
        .filter((milliseconds) => milliseconds > 0);
      return leftMs.length === 0 ? undefined : leftMs.reduce((a, b) => Math.min(a, b));
    },
    clear: () => pauses.clear(),
  };
}
