// All metrics of the hub. Peer ids, user ids and device ids are never labels, because their number is unbounded, and they
// tell who uses which machine when.
import { Gauge, Histogram, Registry } from 'prom-client';
import { collectProcessMetrics } from '../../shared/process-metrics.ts';
import { VERSION } from '../../shared/program.ts';
import type { Storage, StorageSizes } from '../history/storage.ts';
import { STORAGE_PROBLEMS } from '../history/storage-problems.ts';
import { PULL_OUTCOMES, type PullEvent } from '../sync/pull-outcomes.ts';
import { PUSH_OUTCOMES, type PushEvent } from '../sync/push-outcomes.ts';
import type { StoredCounts } from './counts.ts';
import { createMakers } from './metric-makers.ts';
import { OWN_PULL_OUTCOMES, type OwnPullOutcome } from './outcomes.ts';

/** How entries reach the hub; values of a metric label. */
export const SOURCES = {
  push: { doc: 'A device pushed them.' },
  pull: { doc: 'The hub pulled them from a device.' },
} as const;
export type Source = keyof typeof SOURCES;

/** Buckets in seconds: from the interval of `rr` to the time after which a silent device is forgotten. */
const SILENCE_BUCKETS_SECONDS = [120, 600, 3_600, 21_600, 86_400, 259_200, 604_800, 1_209_600, 2_592_000];

/** Buckets in seconds: from a push right after the command to a laptop that comes back after two weeks. */
const LAG_BUCKETS_SECONDS = [15, 60, 120, 300, 900, 3_600, 21_600, 86_400, 604_800, 1_209_600];

/** Buckets in seconds: the answer to a push is due after 4 s. */
const PUSH_BUCKETS_SECONDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 10];

/** What the hub received in its pull from a device. */
export interface Received {
  /** Entries, also those that were known. */
  readonly received: number;
  readonly stored: number;
  readonly invalid: number;
  /** On the wire. */
  readonly bytes: number;
}

/** Values that are read at scrape time. */
export interface HubGauges {
  readonly counts: () => StoredCounts;
  readonly reservations: () => number;
  /** Seconds since the hub heard of each device. */
  readonly silentSeconds: () => readonly number[];
  readonly storage: Pick<Storage, 'check' | 'sizes'>;
}

/** Values that do not change while the hub runs. */
export interface HubConstants {
  /** Name of the cipher that protects the connections. */
  readonly cipher: string;
  /** Reservations that the hub should hold: one on each relay, or none with a public address. */
  readonly wantedReservations: number;
}

export interface HubMetrics {
  readonly registry: Registry;
  push(event: PushEvent): void;
  pull(event: PullEvent): void;
  ownPull(outcome: OwnPullOutcome, received?: Received): void;
  /** The age in seconds of the newest entry of a device, when it arrived. */
  lag(seconds: number): void;
  /** Registers the gauges. */
  observe(gauges: HubGauges): void;
}

export function createHubMetrics({ cipher, wantedReservations }: HubConstants): HubMetrics {
  const registry = new Registry();
  collectProcessMetrics(registry);
  const { gauge, constant, histogram } = createMakers(registry);
  constant('rustory_hub_build_info', 'Always 1; the label is the version of the hub.', { version: VERSION });
  constant(
    'rustory_hub_cipher_info',
    'Always 1; the label is the cipher that encrypts connections with the swarm key.',
    { cipher },
  );
  gauge(
    'rustory_hub_wanted_reservations',
    'Reservations that the hub should hold: one on each relay, or none with a public address.',
    () => wantedReservations,
  );
  const lags = histogram(
    'rustory_hub_lag_seconds',
    'Age of the newest entry of a device when it arrived in a push or in a pull from that device.',
    LAG_BUCKETS_SECONDS,
  );
  return {
    registry,
    ...createTraffic(registry),
    lag: (seconds) => lags.observe(seconds),
    observe({ counts, reservations, silentSeconds, storage }) {
      gauge('rustory_hub_entries', 'Entries in the database.', () => counts().entries);
      gauge('rustory_hub_deletions', 'Deletions in the database.', () => counts().deletions);
      gauge('rustory_hub_reservations', 'Relays on which the hub holds a reservation.', reservations);
      gauge(
        'rustory_hub_devices',
        'Devices that pushed, pulled or were pulled from in the last 30 days.',
        () => silentSeconds().length,
      );
      registerSilence(registry, silentSeconds);
      registerStorage(registry, storage);
    },
  };
}

/** The counters of pushes and pulls. */
function createTraffic(registry: Registry): Pick<HubMetrics, 'push' | 'pull' | 'ownPull'> {
  const { counter, histogram, total } = createMakers(registry);
  const pushes = counter('outcome', PUSH_OUTCOMES, {
    name: 'rustory_hub_pushes_total',
    help: 'Pushes of devices, by outcome.',
  });
  const pushSeconds = histogram(
    'rustory_hub_push_duration_seconds',
    'Time from the arrival of a push that was stored until its answer.',
    PUSH_BUCKETS_SECONDS,
  );
  const pulls = counter('outcome', PULL_OUTCOMES, {
    name: 'rustory_hub_pulls_total',
    help: 'Requests of devices for a page of the history, by outcome.',
  });
  const ownPulls = counter('outcome', OWN_PULL_OUTCOMES, {
    name: 'rustory_hub_own_pulls_total',
    help: 'Pulls that the hub made from devices, by outcome.',
  });
  const received = counter('source', SOURCES, {
    name: 'rustory_hub_received_entries_total',
    help: 'Entries that the hub received, also those that it had, by source.',
  });
  const stored = counter('source', SOURCES, {
    name: 'rustory_hub_stored_entries_total',
    help: 'Entries that were new and are stored, by source.',
  });
  const invalid = counter('source', SOURCES, {
    name: 'rustory_hub_invalid_items_total',
    help: 'Entries and deletions that are not valid and were skipped, by source.',
  });
  const receivedBytes = counter('source', SOURCES, {
    name: 'rustory_hub_received_bytes_total',
    help: 'Bytes of pushes and of responses to pulls on the wire, by source.',
  });
  const sent = total('rustory_hub_sent_entries_total', 'Entries that devices pulled.');
  const sentBytes = total(
    'rustory_hub_sent_bytes_total',
    'Bytes of responses to pulls of devices on the wire.',
  );
  const highRequests = total(
    'rustory_hub_high_requests_total',
    'Requests of devices for what is above all that this database ever stored, as after an older copy of it was put back.',
  );

  function receive(source: Source, counts: Received): void {
    received.inc({ source }, counts.received);
    stored.inc({ source }, counts.stored);
    invalid.inc({ source }, counts.invalid);
    receivedBytes.inc({ source }, counts.bytes);
  }

  return {
    push({ outcome, entries, inserted, bytes, durationMs, ...event }) {
      pushes.inc({ outcome });
      receive('push', { received: entries, stored: inserted, invalid: event.invalid, bytes });
      if (outcome === 'stored') pushSeconds.observe(durationMs / 1000);
    },
    pull({ outcome, entries, bytes, isBeyondStored }) {
      pulls.inc({ outcome });
      sent.inc(entries);
      sentBytes.inc(bytes);
      if (isBeyondStored) highRequests.inc();
    },
    ownPull(outcome, counts) {
      ownPulls.inc({ outcome });
      if (counts !== undefined) receive('pull', counts);
    },
  };
}

/** A histogram of the present: each scrape has one observation for each device. */
function registerSilence(registry: Registry, silentSeconds: () => readonly number[]): void {
  const histogram: Histogram = new Histogram({
    name: 'rustory_hub_device_silent_seconds',
    help: 'Seconds since the hub heard of each device of the last 30 days. A snapshot: each scrape counts each device once.',
    buckets: SILENCE_BUCKETS_SECONDS,
    registers: [registry],
    collect() {
      histogram.reset();
      histogram.zero({});
      for (const seconds of silentSeconds()) histogram.observe(seconds);
    },
  });
}

function registerStorage(registry: Registry, { check, sizes }: HubGauges['storage']): void {
  const { gauge } = createMakers(registry);
  const size = (name: keyof StorageSizes) => (): number => {
    try {
      return sizes()[name];
    } catch {
      // The database cannot be read, which the readiness reports.
      return Number.NaN;
    }
  };
  gauge(
    'rustory_hub_database_bytes',
    'Bytes of the database that are in use, without its log.',
    size('databaseBytes'),
  );
  gauge('rustory_hub_database_log_bytes', 'Bytes of the log of the database.', size('logBytes'));
  gauge(
    'rustory_hub_database_max_bytes',
    'Bytes that the database may use: max_database_bytes, or less when the disk is smaller.',
    size('limitBytes'),
  );
  gauge('rustory_hub_free_bytes', 'Free bytes on the disk of the database.', size('freeBytes'));
  const problems: Gauge<'reason'> = new Gauge({
    name: 'rustory_hub_storage_problem',
    help: 'Whether nothing can be stored, by reason.',
    labelNames: ['reason'],
    registers: [registry],
    collect() {
      const checked = check();
      for (const reason of Object.keys(STORAGE_PROBLEMS))
        problems.set({ reason }, Number(!checked.ok && checked.reason === reason));
    },
  });
}
