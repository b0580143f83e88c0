// Tells the trackers where this device can be reached: at once when that changes, and again before they forget it.
import { HEARTBEAT_SECONDS, MAX_ADDRS, type Meta } from '../../shared/contract.ts';
import { describeError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/log.ts';
import type { TrackerClient } from './tracker-client.ts';

/** Heartbeats come this much earlier at most, as a share, so that a thousand devices do not come at once. */
const JITTER = 0.2;

/** Pause between heartbeats, and before a tracker that failed is told again, in milliseconds. */
const DEFAULT_INTERVAL_MS = HEARTBEAT_SECONDS * 1000;
const MAX_RETRY_MS = 5_000;

/** How long a clean stop waits for the trackers, in milliseconds. */
const FAREWELL_MS = 2_000;

export interface Heartbeat {
  /** Registers now, because the addresses changed. */
  changed(): void;
  start(): void;
  /** Unregisters from every tracker that answers in time. */
  stop(): Promise<void>;
}

export interface HeartbeatDeps {
  readonly trackers: readonly TrackerClient[];
  readonly peerId: string;
  readonly meta: Meta;
  /** The addresses that this device has at this moment. */
  readonly addresses: () => string[];
  readonly log: Logger;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly intervalMs?: number;
}

export function createHeartbeat(deps: HeartbeatDeps): Heartbeat {
  const { trackers, peerId, meta, addresses, log, random, intervalMs = DEFAULT_INTERVAL_MS } = deps;
  const stopping = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let beating: Promise<void> | undefined;
  let isStale = false;
  /** What was told last, so that the log tells changes and not every heartbeat. */
  let told = '';

  async function beat(): Promise<void> {
    const addrs = addresses().slice(0, MAX_ADDRS);
    const results = await Promise.allSettled(
      trackers.map(async (tracker) =>
        // Without an address a record would only send others astray.
        addrs.length === 0
          ? tracker.unregister(peerId, stopping.signal)
          : tracker.register({ peerId, addresses: addrs, meta }, stopping.signal),
      ),
    );
    if (stopping.signal.aborted) return;
    const urls = trackers
      .filter((_, position) => results[position]?.status === 'fulfilled')
      .map(({ url }) => url);
    const errors = results.flatMap((result) =>
      result.status === 'rejected' ? [describeError(result.reason)] : [],
    );
    const news = JSON.stringify([addrs, urls, errors]);
    const level = news === told ? 'debug' : 'info';
    told = news;
    if (urls.length > 0)
      log[level]({ trackers: urls, addrs }, addrs.length === 0 ? 'unregistered' : 'registered');
    for (const error of errors) log[level === 'info' ? 'warn' : 'debug']({ error }, 'registration failed');
    const pause =
      errors.length > 0 ? Math.min(intervalMs, MAX_RETRY_MS) : intervalMs * (1 - JITTER * random());
    timer = setTimeout(run, pause);
  }

  function run(): void {
    clearTimeout(timer);
    // One at a time: of two registrations under way the older could arrive last.
    if (beating !== undefined) {
      isStale = true;
      return;
    }
    isStale = false;
    beating = beat().finally(() => {
      beating = undefined;
      if (isStale && !stopping.signal.aborted) run();
    });
  }

  return {
    changed: () => {
      if (!stopping.signal.aborted && trackers.length > 0) run();
    },
    start: () => {
      if (addresses().length > 0 && trackers.length > 0) run();
    },
    async stop() {
      stopping.abort();
      clearTimeout(timer);
      await beating;
      const patience = AbortSignal.timeout(FAREWELL_MS);
      const results = await Promise.allSettled(
        told === '' ? [] : trackers.map(async (tracker) => tracker.unregister(peerId, patience)),
      );
      const failed = results.filter(({ status }) => status === 'rejected').length;
      log.info({ trackers: results.length - failed, failed }, 'unregistered');
    },
  };
}
