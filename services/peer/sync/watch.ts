// Repeats sync rounds until it is stopped. The pause between two rounds is shorter after a failure.
import { describeError } from '../../shared/errors.ts';
import type { Component } from '../../shared/lifecycle.ts';
import type { Logger } from '../../shared/log.ts';
import type { Round } from './sync-round.ts';

/** Minimum pause after a failed round, in milliseconds: a relay restarts within this time. */
const RETRY_PAUSE_MS = 10_000;

/** Pause before a round that continues this one, in milliseconds. */
const CONTINUE_PAUSE_MS = 1_000;

export interface WatchDeps {
  /** Runs one round. It throws only for temporary failures, such as a locked database. */
  readonly round: (signal: AbortSignal) => Promise<Round>;
  readonly onRound: (round: Round, durationMs: number) => Promise<void>;
  /** Pause between two rounds in milliseconds. */
  readonly intervalMs: number;
  /** Maximum random pause before the first round in milliseconds, so that many devices do not sync at the same time. */
  readonly startJitterMs: number;
  readonly log: Logger;
  readonly nowMs: () => number;
  /** Random number from 0 to 1. */
  readonly random: () => number;
  /** Resolves after `milliseconds`; rejects when the signal aborts. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

export function createWatch(deps: WatchDeps): Component {
  const { intervalMs, startJitterMs, log, nowMs, random, sleep } = deps;
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();

  /** Resolves to the maximum pause after the round in milliseconds. */
  async function runRound(): Promise<number> {
    const startedMs = nowMs();
    try {
      const round = await deps.round(stopping.signal);
      if (stopping.signal.aborted) return 0;
      await deps.onRound(round, Math.round(nowMs() - startedMs));
      return pauseAfter(round, intervalMs);
    } catch (error) {
      if (!stopping.signal.aborted) log.error({ error: describeError(error) }, 'round failed');
      return RETRY_PAUSE_MS;
    }
  }

  async function run(): Promise<void> {
    await sleep(startJitterMs * random(), stopping.signal);
    while (!stopping.signal.aborted) {
      await sleep(Math.min(intervalMs, await runRound()), stopping.signal);
    }
  }

  return {
    name: 'watch',
    async start() {
      // Only a pause rejects, and only when the watch is stopped.
      running = run().catch(() => {});
    },
    async stop() {
      stopping.abort(new Error('This peer is stopping.'));
      await running;
    },
  };
}

/** The maximum pause after a round in milliseconds. */
function pauseAfter({ reports, continues, problems, retryInMs }: Round, intervalMs: number): number {
  if (continues) return CONTINUE_PAUSE_MS;
  // A refusal costs the peer a look-up at its tracker each time.
  if (reports.some(({ isRefused }) => isRefused)) return intervalMs;
  if (problems.length > 0) return RETRY_PAUSE_MS;
  return retryInMs === undefined ? intervalMs : Math.max(RETRY_PAUSE_MS, retryInMs);
}
