// Probes Redis at an interval, so that requests fail immediately while Redis does not respond.
import { setTimeout as pause } from 'node:timers/promises';
import { monotonicMs } from '../../shared/clock.ts';
import { describeError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/log.ts';

/** Pause between probes, in milliseconds; also the maximum time until the tracker detects that Redis has recovered. */
const PROBE_INTERVAL_MS = 250;

/** Consecutive failed probes after which the client reconnects. */
const MAX_FAILED_PROBES = 2;

export interface ProbeOptions {
  /** Sends a command to Redis; rejects when there is no reply. */
  readonly ask: () => Promise<void>;
  /** Closes the connection and opens a new one. */
  readonly reconnect: () => void;
  readonly log: Logger;
  /** Receives the duration of each probe in seconds, or `undefined` when it failed. */
  readonly onProbe?: ((seconds: number | undefined) => void) | undefined;
}

export interface Probe {
  /** Resolves after the first probe. Probes continue until `stop`. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** The reason why the last probe failed; `undefined` when it succeeded. */
  problem(): string | undefined;
}

export function createProbe({ ask, reconnect, log, onProbe }: ProbeOptions): Probe {
  const stopping = new AbortController();
  let problem: string | undefined = 'not connected yet';
  let lastAnswered: boolean | undefined;
  let failedProbes = 0;
  let running: Promise<void> = Promise.resolve();

  async function probe(): Promise<void> {
    const beganMs = monotonicMs();
    let found: string | undefined;
    try {
      await ask();
      failedProbes = 0;
    } catch (error) {
      found = describeError(error);
      failedProbes += 1;
    }
    onProbe?.(found === undefined ? (monotonicMs() - beganMs) / 1_000 : undefined);
    // Only a change between success and failure is logged, because the reason may differ from probe to probe.
    const answers = found === undefined;
    if (answers !== lastAnswered) log[answers ? 'info' : 'warn']({ answers, problem: found }, 'redis');
    lastAnswered = answers;
    problem = found;
    if (failedProbes < MAX_FAILED_PROBES) return;
    // With a frozen server or a broken network the connection seems open. A new connection also finds a new master.
    failedProbes = 0;
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
