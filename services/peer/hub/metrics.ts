// All metrics of the hub. Peer ids, user ids and device ids are never labels, because their number is unbounded, and they
// tell who uses which machine when.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { collectMemoryLimit, memoryLimitBytes } from '../../shared/memory.ts';
import { VERSION } from '../../shared/program.ts';
import { OWN_PULL_OUTCOMES, type OwnPullOutcome } from './outcomes.ts';

/** How entries reach the hub; values of a metric label. */
export const SOURCES = {
  push: { doc: 'A device pushed them.' },
  pull: { doc: 'The hub pulled them from a device.' },
} as const;
export type Source = keyof typeof SOURCES;

/** Buckets in seconds: from the interval of `rr` to the time after which a silent device is forgotten. */
const SILENCE_BUCKETS_SECONDS = [120, 600, 3_600, 21_600, 86_400, 259_200, 604_800, 1_209_600, 2_592_000];

/** What the hub received in one push or pull. */
export interface Received {
  /** Entries, also those that were known. */
  readonly received: number;
  readonly stored: number;
  /** On the wire. */
  readonly bytes: number;
}

/** Values that are read at scrape time. */
export interface HubGauges {
  readonly entries: () => number;
  readonly deletions: () => number;
  readonly reservations: () => number;
  /** Seconds since the hub heard of each device. */
  readonly silentSeconds: () => readonly number[];
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
  ownPull(outcome: OwnPullOutcome, received?: Received): void;
  highRequest(): void;
  /** Registers the gauges. */
  observe(gauges: HubGauges): void;
}

export function createHubMetrics({ cipher, wantedReservations }: HubConstants): HubMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  collectMemoryLimit(registry, memoryLimitBytes());
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
  const receivedBytes = counter('source', SOURCES, {
    name: 'rustory_hub_received_bytes_total',
    help: 'Bytes of pushes and of responses to pulls on the wire, by source.',
  });
  const highRequests = new Counter({
    name: 'rustory_hub_high_requests_total',
    help: 'Requests of devices for entries above all that this database ever stored, of one device at most one per hour.',
    registers: [registry],
  });

  function count(source: Source, counts: Received): void {
    received.inc({ source }, counts.received);
    stored.inc({ source }, counts.stored);
    receivedBytes.inc({ source }, counts.bytes);
  }

  return {
    registry,
    ownPull(outcome, counts) {
      ownPulls.inc({ outcome });
      if (counts !== undefined) count('pull', counts);
    },
    highRequest: () => highRequests.inc(),
    observe({ silentSeconds, ...gauges }) {
      gauge('rustory_hub_entries', 'Entries in the database.', gauges.entries);
      gauge('rustory_hub_deletions', 'Deletions in the database.', gauges.deletions);
      gauge('rustory_hub_reservations', 'Relays on which the hub holds a reservation.', gauges.reservations);
      gauge(
        'rustory_hub_devices',
        'Devices that pushed, pulled or were pulled from in the last 30 days.',
        () => silentSeconds().length,
      );
      registerSilence(registry, silentSeconds);
    },
  };

  function gauge(name: string, help: string, read: () => number): Gauge {
    return new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  }

  function constant(name: string, help: string, labels: Readonly<Record<string, string>>): void {
    new Gauge({ name, help, labelNames: Object.keys(labels), registers: [registry] }).set({ ...labels }, 1);
  }

  /** A counter with one label. All its series exist from the start, so that queries can distinguish zero from absent. */
  function counter<Label extends string>(
    label: Label,
    values: Readonly<Record<string, unknown>>,
    description: { readonly name: string; readonly help: string },
  ): Counter<Label> {
    const created = new Counter({ ...description, labelNames: [label], registers: [registry] });
    for (const value of Object.keys(values)) created.labels(value).inc(0);
    return created;
  }
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
