// Asks Redis again and again whether it answers, and so knows before any request does. It owns that knowledge.
import { setTimeout as pause } from 'node:timers/promises';
import { describeError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/log.ts';

/** Pause between probes, in milliseconds; also bounds how long after Redis' return the tracker is back. */
const PROBE_INTERVAL_MS = 250;

/** Probes in a row that may go unanswered before the connection is taken for dead and made anew. */
const MAX_SILENT_PROBES = 2;

export interface ProbeOptions {
  /** Asks; rejects when there is no answer within the deadline. */
  readonly ask: () => Promise<void>;
  /** Gives up the connection and makes another. */
  readonly reconnect: () => void;
  readonly log: Logger;
  /** Told the time each probe took, in seconds, or that it failed. */
  readonly onProbe?: ((seconds: number | undefined) => void) | undefined;
}

export interface Probe {
  /** Resolves after the first probe; then goes on until stopped. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Why Redis cannot be used, by the last probe; `undefined` when it answered. */
  problem(): string | undefined;
}

export function createProbe({ ask, reconnect, log, onProbe }: ProbeOptions): Probe {
  const stopping = new AbortController();
  let problem: string | undefined = 'not connected yet';
  let answered: boolean | undefined;
  let silent = 0;
  let running: Promise<void> = Promise.resolve();

  async function probe(): Promise<void> {
    const began = performance.now();
    let found: string | undefined;
    try {
      await ask();
      silent = 0;
    } catch (error) {
      found = describeError(error);
      silent += 1;
    }
    onProbe?.(found === undefined ? (performance.now() - began) / 1_000 : undefined);
    // Only the change is logged: what exactly is wrong may alternate from probe to probe.
    const answers = found === undefined;
    if (answers !== answered) log[answers ? 'info' : 'warn']({ answers, problem: found }, 'redis');
    answered = answers;
    problem = found;
    if (silent < MAX_SILENT_PROBES) return;
    // A frozen server or a cut network leaves a connection that looks open. A new one finds the new master too.
    silent = 0;
    reconnect();
  }

  async function probeUntilStopped(): Promise<void> {
    while (!stopping.signal.aborted) {
      await pause(PROBE_INTERVAL_MS, undefined, { signal: stopping.signal }).catch(() => {});
      if (!stopping.signal.aborted) await probe();
    }
  }

  return {
    async start() {
      await probe();
      running = probeUntilStopped();
    },
    async stop() {
      stopping.abort();
      await running;
    },
    problem: () => problem,
  };
}
