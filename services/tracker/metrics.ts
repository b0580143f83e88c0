// The metrics of the tracker, explained in docs/metrics.md. Peer ids, user ids and addresses are never labels.
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import {
  createCountedHistogram,
  createLabelledCounts,
  type ObservedSeries,
} from '../shared/counted-metrics.ts';
import { collectProcessMetrics } from '../shared/process-metrics.ts';
import { VERSION } from '../shared/program.ts';
import type { TrackerConfig } from './config.ts';
import { ADDRESS_DROPS, type AddressDrop, type Dropped, META_DROPS, type MetaDrop } from './drops.ts';
import { PROBLEM_CODES, type ProblemCode } from './problems.ts';
import { CONFLICT_KINDS, type ConflictKind } from './registry/claims.ts';
import type { RegistryCounts } from './registry/counts.ts';
import { REDIS_PROBLEMS, type RedisProblem } from './registry/redis-problems.ts';
import { REGISTRATION_OUTCOMES, type RegistrationOutcome } from './registry/registry.ts';

/** Methods with their own label value. All other methods are counted as `OTHER`, because clients can send any word. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'OPTIONS']);

/** Buckets in seconds: from a request without the store to one that waited in the queue for the maximum time. */
const REQUEST_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const REDIS_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25];

export interface TrackerMetrics {
  readonly registry: Registry;
  request(method: string, route: string, status: number, seconds: number): void;
  registration(outcome: RegistrationOutcome): void;
  refusal(reason: ProblemCode): void;
  /** Counts what a registration contained and its record does not contain. */
  dropped(addrs: Dropped<AddressDrop>, meta: Dropped<MetaDrop>): void;
  /** Counts a registration of an identity that two devices use. */
  conflict(kind: ConflictKind): void;
  /** Counts the devices that a listing left out because of its size. */
  listingCut(omittedPeers: number): void;
  /** Counts a probe of Redis by its duration; `undefined` when it failed, with the reason. */
  redisProbe(seconds: number | undefined, reason?: RedisProblem): void;
  /** Counts an error of a command of Redis. */
  redisError(reason: RedisProblem): void;
  /** Counts an answer that was aborted because its client read slowly. */
  answerAborted(): void;
}

/**
 * Registers the metrics. Those of Redis are registered only when Redis is configured.
 *
 * @param livePeers evaluated at scrape time; `undefined` while unknown
 * @param counts the same
 */
export function createTrackerMetrics(
  { redis, limits, star }: Pick<TrackerConfig, 'redis' | 'limits' | 'star'>,
  livePeers: () => number | undefined,
  counts: () => RegistryCounts | undefined = () => undefined,
): TrackerMetrics {
  const registry = new Registry();
  collectProcessMetrics(registry);
  registerPeerGauges(registry, livePeers, limits.peers);
  registerCounts(registry, counts);
  registerStar(registry, star);
  return {
    registry,
    request: createRequestMetric(registry),
    ...createCounters(registry),
    // Without Redis the metrics are created but not registered.
    ...createRedisMetrics(redis === undefined ? [] : [registry]),
  };
}

function registerPeerGauges(registry: Registry, livePeers: () => number | undefined, maxPeers: number): void {
  const registers = [registry];
  new Gauge({
    name: 'rustory_tracker_build_info',
    help: 'Always 1; the label is the running version.',
    labelNames: ['version'],
    registers,
  })
    .labels(VERSION)
    .set(1);
  registry.registerMetric(
    new Gauge({
      name: 'rustory_tracker_live_peers',
      help: 'Registered peers within their time to live; NaN while the registry does not answer.',
      registers: [],
      collect() {
        this.set(livePeers() ?? Number.NaN);
      },
    }),
  );
  new Gauge({ name: 'rustory_tracker_max_peers', help: 'Maximum registered peers.', registers }).set(
    maxPeers,
  );
}

/** Help of the gauge of each count. */
const COUNTS: Record<keyof RegistryCounts, { readonly name: string; readonly help: string }> = {
  circuitPeers: {
    name: 'rustory_tracker_circuit_peers',
    help: 'Live peers that list a circuit; NaN while the registry does not answer.',
  },
  circuits: {
    name: 'rustory_tracker_circuits_listed',
    help: 'Pairs of a live peer and a relay at which it lists a circuit; NaN while the registry does not answer.',
  },
  singleDeviceUsers: {
    name: 'rustory_tracker_single_device_users',
    help: 'Users with exactly one live peer, which is not a hub; NaN while the registry does not answer.',
  },
  hubUsers: {
    name: 'rustory_tracker_hub_users',
    help: 'Users with a live hub, which a token marked as hub registered; NaN while the registry does not answer.',
  },
};

function registerCounts(registry: Registry, counts: () => RegistryCounts | undefined): void {
  for (const key of Object.keys(COUNTS) as Array<keyof RegistryCounts>)
    registry.registerMetric(
      new Gauge({
        ...COUNTS[key],
        registers: [],
        collect() {
          this.set(counts()?.[key] ?? Number.NaN);
        },
      }),
    );
}

function registerStar(registry: Registry, star: boolean): void {
  new Gauge({
    name: 'rustory_tracker_star',
    help: 'Whether devices of a user with a live hub are listed only the hub (TRACKER_STAR).',
    registers: [registry],
  }).set(Number(star));
}

function createRequestMetric(registry: Registry): TrackerMetrics['request'] {
  const requests = createCountedHistogram(registry, {
    name: 'rustory_tracker_http_request_duration_seconds',
    help: 'Duration of requests, by method, route pattern and status.',
    buckets: REQUEST_BUCKETS,
  });
  /** The series by status, by route, by method. */
  const methods = new Map<string, Map<string, Map<number, ObservedSeries>>>();
  return (method, route, status, seconds) => {
    const known = METHODS.has(method) ? method : 'OTHER';
    const byRoute = entryOf(methods, known, () => new Map<string, Map<number, ObservedSeries>>());
    const byStatus = entryOf(byRoute, route, () => new Map<number, ObservedSeries>());
    const create = (): ObservedSeries => requests.series({ method: known, route, status: String(status) });
    entryOf(byStatus, status, create).observe(seconds);
  };
}

/** The entry of a map, which is created when it is absent. */
function entryOf<Key, Value>(map: Map<Key, Value>, key: Key, create: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = create();
    map.set(key, value);
  }
  return value;
}

function createCounters(
  registry: Registry,
): Pick<
  TrackerMetrics,
  'registration' | 'refusal' | 'dropped' | 'conflict' | 'listingCut' | 'answerAborted'
> {
  const registers = [registry];
  const registrations = createLabelledCounts<RegistrationOutcome>(registry, {
    name: 'rustory_tracker_registrations_total',
    help: 'Registrations, by outcome of the registry.',
    label: 'outcome',
    values: Object.keys(REGISTRATION_OUTCOMES) as RegistrationOutcome[],
  });
  const refusals = createLabelledCounts<ProblemCode>(registry, {
    name: 'rustory_tracker_refusals_total',
    help: 'Refused requests, by problem code.',
    label: 'reason',
    values: PROBLEM_CODES,
  });
  const addresses = createLabelledCounts<AddressDrop>(registry, {
    name: 'rustory_tracker_addresses_dropped_total',
    help: 'Addresses dropped from registrations, by reason.',
    label: 'reason',
    values: Object.keys(ADDRESS_DROPS) as AddressDrop[],
  });
  const metaFields = createLabelledCounts<MetaDrop>(registry, {
    name: 'rustory_tracker_meta_fields_dropped_total',
    help: 'Fields of meta dropped from registrations, by reason.',
    label: 'reason',
    values: Object.keys(META_DROPS) as MetaDrop[],
  });
  const omitted = new Counter({
    name: 'rustory_tracker_listing_omitted_peers_total',
    help: 'Devices that listings left out because of their maximum size, once per listing.',
    registers,
  });
  const aborted = new Counter({
    name: 'rustory_tracker_answers_aborted_total',
    help: 'Long answers that were aborted because their clients read slowly and the limit of their bytes was reached.',
    registers,
  });
  const conflicts = createLabelledCounts<ConflictKind>(registry, {
    name: 'rustory_tracker_identity_conflicts_total',
    help: 'Registrations of an identity that two devices use, by what the devices differ in.',
    label: 'kind',
    values: Object.keys(CONFLICT_KINDS) as ConflictKind[],
  });
  return {
    registration: (outcome) => registrations.increment(outcome),
    refusal: (reason) => refusals.increment(reason),
    conflict: (kind) => conflicts.increment(kind),
    listingCut: (count) => omitted.inc(count),
    answerAborted: () => aborted.inc(),
    dropped(addrs, meta) {
      for (const reason in addrs) addresses.increment(reason as AddressDrop, addrs[reason as AddressDrop]);
      for (const reason in meta) metaFields.increment(reason as MetaDrop, meta[reason as MetaDrop]);
    },
  };
}

function createRedisMetrics(registers: Registry[]): Pick<TrackerMetrics, 'redisProbe' | 'redisError'> {
  const up = new Gauge({
    name: 'rustory_tracker_redis_up',
    help: 'Whether Redis did the work of the last probe; absent with the memory registry.',
    registers,
  });
  const duration = new Histogram({
    name: 'rustory_tracker_redis_probe_duration_seconds',
    help: 'Duration of the probes that Redis answered; absent with the memory registry.',
    buckets: REDIS_BUCKETS,
    registers,
  });
  const problem = new Gauge({
    name: 'rustory_tracker_redis_problem',
    help: 'Whether the last probe of Redis failed for this reason; absent with the memory registry.',
    labelNames: ['reason'],
    registers,
  });
  const errors = new Counter({
    name: 'rustory_tracker_redis_errors_total',
    help: 'Commands of registrations and listings that failed in Redis, by reason; absent with the memory registry.',
    labelNames: ['reason'],
    registers,
  });
  const reasons = Object.keys(REDIS_PROBLEMS);
  for (const reason of reasons) {
    problem.set({ reason }, 0);
    errors.inc({ reason }, 0);
  }
  return {
    redisProbe(seconds, found) {
      up.set(seconds === undefined ? 0 : 1);
      if (seconds !== undefined) duration.observe(seconds);
      for (const reason of reasons) problem.set({ reason }, reason === found ? 1 : 0);
    },
    redisError: (reason) => errors.inc({ reason }),
  };
}
