// Syncs again and again: one round, a pause, the next round, until it is stopped. A round that fails is followed by
// the next one sooner.
import { describeError } from '../../shared/errors.ts';
import type { Component } from '../../shared/lifecycle.ts';
import type { Logger } from '../../shared/log.ts';
import type { Round } from './sync-round.ts';

/** Longest pause after a round in which a peer failed, in milliseconds: a relay that was restarted is back by then. */
const RETRY_PAUSE_MS = 10_000;

export interface WatchDeps {
  /** Runs one round; throws only for what another round may not meet again, such as a locked database. */
  readonly round: (signal: AbortSignal) => Promise<Round>;
  readonly onRound: (round: Round, durationMs: number) => Promise<void>;
  readonly intervalMs: number;
  /** Longest random pause before the first round, so that devices that start together do not sync together. */
  readonly startJitterMs: number;
  readonly log: Logger;
  readonly clock: () => number;
  readonly random: () => number;
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

export function createWatch(deps: WatchDeps): Component {
  const { intervalMs, startJitterMs, log, clock, random, sleep } = deps;
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();

  /** Resolves to whether all peers were synced. */
  async function runRound(): Promise<boolean> {
    const startedAt = clock();
    try {
      const round = await deps.round(stopping.signal);
      if (stopping.signal.aborted) return false;
      await deps.onRound(round, Math.round(clock() - startedAt));
      return round.problems.length === 0 && round.reports.every(({ error }) => error === undefined);
    } catch (error) {
      if (!stopping.signal.aborted) log.error({ error: describeError(error) }, 'round failed');
      return false;
    }
  }

  async function run(): Promise<void> {
    await sleep(startJitterMs * random(), stopping.signal);
    while (!stopping.signal.aborted) {
      const isComplete = await runRound();
      await sleep(isComplete ? intervalMs : Math.min(intervalMs, RETRY_PAUSE_MS), stopping.signal);
    }
  }

  return {
    name: 'watch',
    async start() {
      // Only a pause that is cut short rejects: that is the end of the watch.
      running = run().catch(() => {});
    },
    async stop() {
      stopping.abort(new Error('this peer is stopping'));
      await running;
    },
  };
}
