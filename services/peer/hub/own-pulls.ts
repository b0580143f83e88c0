// The rounds in which the hub pulls from the devices that can be reached. Devices push every minute, and pulling is for
// those that only serve, so the rounds are rare: n devices cost n pulls per round, all of them through the relay.
import type { Component } from '../../shared/lifecycle.ts';
import type { Logger } from '../../shared/log.ts';
import type { PullReport } from '../sync/pull.ts';
import { NO_ROUND, type Round } from '../sync/sync-round.ts';
import { createWatch } from '../sync/watch.ts';
import type { HubMetrics } from './metrics.ts';
import { outcomeOf } from './outcomes.ts';

/** Maximum share of the interval by which a round is early, at random, so that hubs do not pull together. */
const JITTER = 0.2;

/** Maximum random pause before the first round in milliseconds: devices that wait for the hub come first. */
const START_JITTER_MS = 10_000;

export interface OwnPullsDeps {
  readonly round: (signal: AbortSignal) => Promise<Round>;
  /** Why nothing can be stored, as a whole sentence; `undefined` when it can. */
  readonly storageProblem: () => string | undefined;
  /** Called for each device that answered. `isNew`: it had entries that the hub had not. */
  readonly onHeard: (peerId: string, isNew: boolean) => void;
  /** Called after each round. */
  readonly onRound: () => void;
  readonly metrics: Pick<HubMetrics, 'ownPull'>;
  readonly intervalMs: number;
  readonly log: Logger;
  readonly nowMs: () => number;
  /** Random number from 0 to 1. */
  readonly random: () => number;
  /** Resolves after `milliseconds`; rejects when the signal aborts. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

export function createOwnPulls(deps: OwnPullsDeps): Component {
  const { storageProblem, metrics, intervalMs, log, random } = deps;
  /** The problems in the log, which are written when they change. */
  let logged = '';

  function logProblems(problems: readonly string[]): void {
    const text = problems.join(' ');
    if (text !== logged && text !== '') log.warn({ problems }, 'round with problems');
    logged = text;
  }

  async function round(signal: AbortSignal): Promise<Round> {
    const problem = storageProblem();
    if (problem === undefined) return deps.round(signal);
    // What is pulled could not be stored, and the devices would send it for nothing.
    return { ...NO_ROUND, problems: [problem] };
  }

  return createWatch({
    ...deps,
    round,
    async onRound({ reports, skipped, postponed, problems, warnings }, durationMs) {
      for (const report of reports) count(report, deps);
      for (const _ of skipped) metrics.ownPull('skipped');
      for (const _ of postponed) metrics.ownPull('postponed');
      logProblems([...problems, ...warnings]);
      const entries = reports.reduce((sum, report) => sum + report.entries, 0);
      const failed = reports.filter(({ error }) => error !== undefined).length;
      const fields = { peers: reports.length, failed, entries, skipped: skipped.length, durationMs };
      log[entries > 0 ? 'info' : 'debug'](fields, 'pulled');
      deps.onRound();
    },
    startJitterMs: Math.min(START_JITTER_MS, intervalMs),
    sleep: async (milliseconds, signal) => deps.sleep(milliseconds * (1 - JITTER * random()), signal),
  });
}

function count(report: PullReport, { metrics, onHeard, log }: OwnPullsDeps): void {
  const { peerId, entries, duplicates, invalid, bytes, error } = report;
  const outcome = outcomeOf(report);
  const stored = Math.max(0, entries - duplicates);
  metrics.ownPull(outcome, {
    received: entries,
    stored,
    invalid: invalid.entries + invalid.deletions,
    bytes,
  });
  if (error === undefined) onHeard(peerId, stored > 0);
  else log.debug({ peer: peerId, outcome, error }, 'pull failed');
}
