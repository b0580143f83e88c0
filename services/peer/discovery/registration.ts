// The registration of this device with one tracker: registers, renews the registration before it expires, and removes
// it at the stop. Another process may use the same identity, so a registration is removed only if the tracker still
// lists what this process registered.
import { ADDRESS_CLASSES, addressClass } from '../../shared/address-class.ts';
import { HEARTBEAT_SECONDS, MAX_ADDRS, type Meta } from '../../shared/contract.ts';
import { describeError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/log.ts';
import { anySignal } from '../../shared/signals.ts';
import { type IdentityWatch, SIGHTING_DISTANCE_SECONDS } from './identity-watch.ts';
import type { KnownPeer } from './peer-book.ts';
import { type PeerList, type TrackerClient, TrackerError } from './tracker-client.ts';

/** Maximum share of the interval by which a heartbeat is early, at random, so that devices do not register together. */
const JITTER = 0.2;

/** Minimum interval between two heartbeats in milliseconds, for a tracker with a very short time to live. */
const MIN_INTERVAL_MS = 1_000;

/** Maximum interval between two heartbeats in milliseconds. */
const MAX_INTERVAL_MS = HEARTBEAT_SECONDS * 1000;

/** Pause after the first failed heartbeat in milliseconds. It doubles with each further failure. */
const RETRY_BASE_MS = 1_000;

/** Maximum pause after a failed heartbeat in milliseconds, so that a tracker that restarts soon lists this device. */
const MAX_RETRY_MS = 5_000;

/** Time that a request in progress has to end at the stop, in milliseconds. */
const STOP_GRACE_MS = 1_000;

/** Deadline of the removal at the stop, in milliseconds. */
const REMOVE_TIMEOUT_MS = 2_000;

/** Both times have a resolution of a second, and a request takes a moment. */
const CLOCK_TOLERANCE_SECONDS = 2;

/** Why a hub is not registered. `changed` is called as soon as it has an address. */
const NO_ADDRESS = 'It has no address to register: no relay has granted a reservation yet.';

/** Statuses of temporary refusals. Other statuses from 400 to 499 do not change without a change of the settings. */
const TEMPORARY_STATUSES: ReadonlySet<number> = new Set([408, 425, 429]);

export interface RegistrationDeps {
  readonly tracker: TrackerClient;
  readonly peerId: string;
  readonly meta: Meta & { readonly user_id: string };
  /** The current addresses of this device; none is valid. */
  readonly addresses: () => readonly string[];
  /**
   * Whether the tracker's record of another process with this identity is left as it is. `serve` replaces it, because
   * it answers pulls; a `sync` only needs to be listed.
   */
  readonly yields: boolean;
  /**
   * Whether this device is not registered while it has no address. A hub without one would take the place of the devices
   * in a tracker that lists only hubs. Default false: a device without addresses is registered to be answered.
   */
  readonly requiresAddress?: boolean | undefined;
  /** Compares the records that the trackers list for the own peer id with this device. */
  readonly identity?: IdentityWatch | undefined;
  readonly log: Logger;
  readonly nowMs: () => number;
  /** Random number from 0 to 1. */
  readonly random: () => number;
  /** Resolves after `milliseconds`; rejects when the signal aborts. */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

/** A sentence that describes why the device is not registered; `undefined` when it is listed. */
export type RegistrationProblem = string | undefined;

export interface Registration {
  readonly url: string;
  /**
   * Resolves when the device is listed, or to the problem. Starts at the first call; a later call registers again if
   * the list lacks this device.
   *
   * @param listing a list that this tracker has just sent
   */
  ensure(listing?: PeerList): Promise<RegistrationProblem>;
  /** Call it when the addresses have changed: registers at once. */
  changed(): void;
  /** Ends the heartbeat, and removes the registration unless another process has registered. */
  stop(): Promise<'removed' | 'kept' | 'failed' | 'not registered'>;
}

/** What this process has sent to the tracker, although the tracker may not have received it. */
interface Sent {
  readonly addrs: readonly string[];
  readonly atMs: number;
}

export function createRegistration(deps: RegistrationDeps): Registration {
  const { tracker, peerId, meta, addresses, yields, identity, log, nowMs, random, sleep } = deps;
  const { requiresAddress = false } = deps;
  const { url } = tracker;
  const stopping = new AbortController();
  const requests = new AbortController();
  let running: Promise<void> | undefined;
  let wakeUp = Promise.withResolvers<void>();
  /** The attempt in progress, or the next one. */
  let attempt = Promise.withResolvers<RegistrationProblem>();
  let isBeating = false;
  let problem: RegistrationProblem;
  let listing: PeerList | undefined;
  /** The last registrations, at most two: if the last one was interrupted, the tracker may list the one before. */
  let sent: readonly Sent[] = [];
  let failures = 0;
  /** Time of the last look at the own record, on the monotonic clock in milliseconds. */
  let lookedMs = -Infinity;
  /** The previous outcome. Only changes are logged above debug. */
  let logged = '';

  const ownRecord = (list: PeerList): KnownPeer | undefined =>
    list.peers.find((peer) => peer.peerId === peerId);

  const isSent = (record: KnownPeer, sentUnixSeconds: number | undefined): boolean =>
    record.deviceId === (meta.device_id ?? undefined) &&
    record.hostname === (meta.hostname ?? undefined) &&
    sent.some(({ addrs }) => isListingOf(record.addresses, addrs)) &&
    !isNewer(record, sentUnixSeconds, nowMs() - (sent[0]?.atMs ?? 0));

  /** Asks the tracker for the own record, unless it has just sent its list. */
  async function lookUp(signal: AbortSignal): Promise<{ record: KnownPeer | undefined; list: PeerList }> {
    const list = listing ?? (await tracker.list(meta.user_id, signal, peerId));
    listing = undefined;
    lookedMs = nowMs();
    const record = ownRecord(list);
    if (record !== undefined) identity?.observe(record);
    return { record, list };
  }

  /** Whether the record of another process must stay. */
  async function isListedByOther(signal: AbortSignal): Promise<boolean> {
    if (yields) {
      const { record, list } = await lookUp(signal);
      // The part of the list that is missing may have the record of a process that serves.
      if (record === undefined) return list.incomplete !== undefined;
      return !isSent(record, list.sentUnixSeconds);
    }
    // The heartbeat of a serving device needs no list, so a list that fails is no failure of it.
    const isDue =
      identity !== undefined && nowMs() - lookedMs >= SIGHTING_DISTANCE_SECONDS * 1000 * (1 - JITTER);
    if (isDue) await lookUp(signal).catch(() => {});
    return false;
  }

  function report(level: 'info' | 'warn', fields: Readonly<Record<string, unknown>>, message: string): void {
    const outcome = JSON.stringify([message, fields]);
    log[outcome === logged ? 'debug' : level]({ tracker: url, ...fields }, message);
    logged = outcome;
  }

  /** Registers if necessary. Resolves to the pause before the next heartbeat in milliseconds. */
  async function beat(): Promise<number> {
    try {
      if (await isListedByOther(requests.signal)) {
        report('info', {}, 'listed by another process');
        problem = undefined;
        return intervalOf(undefined, random());
      }
      const addrs = selectAnnounced(addresses());
      if (requiresAddress && addrs.length === 0) {
        problem = NO_ADDRESS;
        report('info', {}, 'not registered without an address');
        return intervalOf(undefined, random());
      }
      sent = [{ addrs, atMs: nowMs() }, ...sent.slice(0, 1)];
      const { ttlSeconds } = await tracker.register({ peerId, addresses: addrs, meta }, requests.signal);
      failures = 0;
      problem = undefined;
      identity?.registered();
      report('info', { addrs }, 'registered');
      return intervalOf(ttlSeconds, random());
    } catch (error) {
      if (requests.signal.aborted) return 0;
      problem = `${describeError(error).replace(/\.$/, '')}.`;
      report('warn', { error: problem }, 'registration failed');
      return pauseAfter(error, failures++, random());
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      wakeUp = Promise.withResolvers();
      isBeating = true;
      const pauseMs = await beat();
      isBeating = false;
      attempt.resolve(problem);
      attempt = Promise.withResolvers();
      const awake = new AbortController();
      const pause = sleep(pauseMs, anySignal(stopping.signal, awake.signal)).catch(() => {});
      await Promise.race([pause, wakeUp.promise]);
      awake.abort();
    }
    attempt.resolve(undefined);
  }

  async function remove(): Promise<'removed' | 'kept' | 'failed' | 'not registered'> {
    if (sent.length === 0) return 'not registered';
    const deadline = AbortSignal.timeout(REMOVE_TIMEOUT_MS);
    try {
      const list = await tracker.list(meta.user_id, deadline, peerId);
      const record = ownRecord(list);
      if (record === undefined) return 'not registered';
      if (!isSent(record, list.sentUnixSeconds)) return 'kept';
      await tracker.unregister(peerId, deadline);
      return 'removed';
    } catch (error) {
      log.debug({ tracker: url, error: describeError(error) }, 'unregistration failed');
      return 'failed';
    }
  }

  return {
    url,
    async ensure(list) {
      if (stopping.signal.aborted) return undefined;
      const { promise } = attempt;
      if (running === undefined) {
        listing = list;
        running = run();
        return promise;
      }
      if (isBeating) return promise;
      const record = list && ownRecord(list);
      if (record !== undefined) identity?.observe(record);
      if (list === undefined || record !== undefined) return problem;
      listing = list;
      wakeUp.resolve();
      return promise;
    },
    changed: () => wakeUp.resolve(),
    async stop() {
      stopping.abort();
      // The request in progress has a moment to end, so that it does not arrive after the removal.
      const timer = setTimeout(() => requests.abort(), STOP_GRACE_MS);
      await running;
      clearTimeout(timer);
      return remove();
    },
  };
}

/**
 * The addresses that are registered, in the order in which the tracker keeps them: circuits first, then public, private
 * and other addresses, each kind in its own order.
 */
function selectAnnounced(addresses: readonly string[]): string[] {
  return addresses.toSorted((a, b) => rankOf(a) - rankOf(b)).slice(0, MAX_ADDRS);
}

function rankOf(address: string): number {
  return ADDRESS_CLASSES.indexOf(addressClass(address));
}

/** Whether a tracker may list these addresses for this registration. It may drop addresses, but never a circuit. */
function isListingOf(listed: readonly string[], registered: readonly string[]): boolean {
  return (
    listed.every((address) => registered.includes(address)) &&
    registered.every((address) => listed.includes(address) || !address.includes('/p2p-circuit'))
  );
}

/** Whether a record was registered after the last registration of this process, which is `ageMs` old. */
function isNewer(record: KnownPeer, sentUnixSeconds: number | undefined, ageMs: number): boolean {
  // Both times are by the clock of the tracker; the clock of this machine may be wrong.
  if (sentUnixSeconds === undefined) return false;
  return sentUnixSeconds - record.lastSeenUnixSeconds + CLOCK_TOLERANCE_SECONDS < ageMs / 1000;
}

/** The pause after a heartbeat: half of the time to live, from 1 to 30 seconds, and up to a fifth less at random. */
function intervalOf(ttlSeconds: number | undefined, random: number): number {
  const isUsable = ttlSeconds !== undefined && Number.isFinite(ttlSeconds) && ttlSeconds > 0;
  const intervalMs = isUsable ? Math.min((ttlSeconds * 1000) / 2, MAX_INTERVAL_MS) : MAX_INTERVAL_MS;
  return Math.max(MIN_INTERVAL_MS, intervalMs * (1 - JITTER * random));
}

/** The pause after a failed heartbeat. A refusal that only an operator can end is not repeated every few seconds. */
function pauseAfter(error: unknown, failures: number, random: number): number {
  const { status = 0, retryAfterSeconds = 0 } = error instanceof TrackerError ? error : {};
  if (status >= 400 && status < 500 && !TEMPORARY_STATUSES.has(status)) return MAX_INTERVAL_MS;
  const backoffMs = Math.min(RETRY_BASE_MS * 2 ** failures, MAX_RETRY_MS) * (1 - JITTER * random);
  return Math.min(Math.max(backoffMs, retryAfterSeconds * 1000), MAX_INTERVAL_MS);
}
