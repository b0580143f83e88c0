// Registers this device with the trackers: immediately when its addresses change, and again before the registration
// expires.
import { HEARTBEAT_SECONDS, MAX_ADDRS, type Meta } from '../../shared/contract.ts';
import { describeError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/log.ts';
import type { TrackerClient } from './tracker-client.ts';

/** Maximum share of the interval by which a heartbeat is early, at random, so that devices do not register together. */
const JITTER = 0.2;

/** Interval between heartbeats in milliseconds. */
const DEFAULT_INTERVAL_MS = HEARTBEAT_SECONDS * 1000;

/** Maximum pause after a heartbeat in which a tracker failed, in milliseconds. */
const MAX_RETRY_MS = 5_000;

/** Deadline of the unregistration on stop, in milliseconds. */
const UNREGISTER_TIMEOUT_MS = 2_000;

export interface Heartbeat {
  /** Call it when the addresses have changed. Registers immediately. */
  changed(): void;
  start(): void;
  /** Unregisters from every tracker that responds within the deadline. */
  stop(): Promise<void>;
}

export interface HeartbeatDeps {
  readonly trackers: readonly TrackerClient[];
  readonly peerId: string;
  readonly meta: Meta;
  /** The current addresses of this device. */
  readonly addresses: () => string[];
  readonly log: Logger;
  /** Random number from 0 to 1. */
  readonly random: () => number;
  /** Interval between heartbeats in milliseconds. Default 30,000. */
  readonly intervalMs?: number;
}

/** The outcome of one heartbeat. */
interface Beat {
  readonly addrs: readonly string[];
  /** URLs of the trackers that accepted. */
  readonly trackers: readonly string[];
  /** One sentence for each tracker that failed. */
  readonly errors: readonly string[];
}

export function createHeartbeat(deps: HeartbeatDeps): Heartbeat {
  const { trackers, peerId, log, random, intervalMs = DEFAULT_INTERVAL_MS } = deps;
  const stopping = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let isOutdated = false;
  /** The previous outcome as JSON; empty before the first one. Only changes are logged above debug. */
  let previous = '';

  async function beat(): Promise<void> {
    const outcome = await announce(deps, stopping.signal);
    if (stopping.signal.aborted) return;
    const current = JSON.stringify(outcome);
    logBeat(log, outcome, current !== previous);
    previous = current;
    const hasFailed = outcome.errors.length > 0;
    const pauseMs = hasFailed ? Math.min(intervalMs, MAX_RETRY_MS) : intervalMs * (1 - JITTER * random());
    timer = setTimeout(run, pauseMs);
  }

  function run(): void {
    clearTimeout(timer);
    // One heartbeat at a time, because the older of two concurrent registrations could arrive last.
    if (running !== undefined) {
      isOutdated = true;
      return;
    }
    isOutdated = false;
    running = beat().finally(() => {
      running = undefined;
      if (isOutdated && !stopping.signal.aborted) run();
    });
  }

  return {
    changed: () => {
      if (!stopping.signal.aborted && trackers.length > 0) run();
    },
    start: () => {
      if (deps.addresses().length > 0 && trackers.length > 0) run();
    },
    async stop() {
      stopping.abort();
      clearTimeout(timer);
      await running;
      const deadline = AbortSignal.timeout(UNREGISTER_TIMEOUT_MS);
      const results = await Promise.allSettled(
        previous === '' ? [] : trackers.map(async (tracker) => tracker.unregister(peerId, deadline)),
      );
      const failed = results.filter(({ status }) => status === 'rejected').length;
      log.info({ trackers: results.length - failed, failed }, 'unregistered');
    },
  };
}

/** Registers with every tracker. Without an address it unregisters, because no peer could connect. */
async function announce(
  { trackers, peerId, meta, addresses }: HeartbeatDeps,
  signal: AbortSignal,
): Promise<Beat> {
  const addrs = addresses().slice(0, MAX_ADDRS);
  const accepted: string[] = [];
  const errors: string[] = [];
  const results = await Promise.allSettled(
    trackers.map(async (tracker) =>
      addrs.length === 0
        ? tracker.unregister(peerId, signal)
        : tracker.register({ peerId, addresses: addrs, meta }, signal),
    ),
  );
  for (const [position, result] of results.entries()) {
    if (result.status === 'rejected') errors.push(`${describeError(result.reason)}.`);
    else accepted.push(trackers[position]?.url ?? '');
  }
  return { addrs, trackers: accepted, errors };
}

function logBeat(log: Logger, { addrs, trackers, errors }: Beat, isChange: boolean): void {
  if (trackers.length > 0)
    log[isChange ? 'info' : 'debug']({ trackers, addrs }, addrs.length === 0 ? 'unregistered' : 'registered');
  for (const error of errors) log[isChange ? 'warn' : 'debug']({ error }, 'registration failed');
}
