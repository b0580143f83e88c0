// Every metric of the tracker; docs/metrics.md says what each means. Peer and user ids are never labels.
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { collectMemoryLimit, memoryLimitBytes } from '../shared/memory.ts';
import { VERSION } from '../shared/program.ts';
import { PROBLEM_CODES, type ProblemCode } from './problems.ts';

/** What became of registrations; those refused before they reached the registry are counted by reason instead. */
export type RegistrationOutcome = 'registered' | 'full' | 'foreign';

/** Methods that have a label of their own; a client may send any word. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'OPTIONS']);

/** From a cached answer to Redis' deadline and a slow client, in seconds. */
const REQUEST_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const REDIS_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25];

export interface TrackerMetrics {
  readonly registry: Registry;
  request(method: string, route: string, status: number, seconds: number): void;
  registration(outcome: RegistrationOutcome): void;
  refusal(reason: ProblemCode): void;
  addressesDropped(count: number): void;
  /** A probe of Redis: the seconds it took, or `undefined` when it failed. */
  redisProbe(seconds: number | undefined): void;
}

/**
 * @param livePeers asked at each scrape; `undefined` while unknown
 * @param redis whether there is a Redis to measure
 * @param maxPeers the limit that `livePeers` is measured by
 */
export function createTrackerMetrics(
  livePeers: () => number | undefined,
  redis: boolean,
  maxPeers: number,
): TrackerMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  collectMemoryLimit(registry, memoryLimitBytes());
  new Gauge({
    name: 'rustory_tracker_build_info',
    help: 'The running version.',
    labelNames: ['version'],
    registers,
  })
    .labels(VERSION)
    .set(1);
  registry.registerMetric(
    new Gauge({
      name: 'rustory_tracker_live_peers',
      help: 'Registered peers within their time to live; NaN while the registry cannot be asked.',
      registers: [],
      collect() {
        this.set(livePeers() ?? Number.NaN);
      },
    }),
  );
  new Gauge({
    name: 'rustory_tracker_max_peers',
    help: 'Most peers that may be registered at the same time.',
    registers,
  }).set(maxPeers);
  const requests = new Histogram({
    name: 'rustory_tracker_http_request_duration_seconds',
    help: 'Requests by method, route pattern and status.',
    labelNames: ['method', 'route', 'status'],
    buckets: REQUEST_BUCKETS,
    registers,
  });
  const registrations = new Counter({
    name: 'rustory_tracker_registrations_total',
    help: 'Registrations that reached the registry, by outcome.',
    labelNames: ['outcome'],
    registers,
  });
  const refusals = new Counter({
    name: 'rustory_tracker_refusals_total',
    help: 'Refused requests by problem code.',
    labelNames: ['reason'],
    registers,
  });
  const dropped = new Counter({
    name: 'rustory_tracker_addresses_dropped_total',
    help: 'Addresses dropped from registrations because nobody could reach them.',
    registers,
  });
  const redisUp = new Gauge({
    name: 'rustory_tracker_redis_up',
    help: 'Whether Redis answered the last probe; absent with the memory registry.',
    registers: redis ? registers : [],
  });
  const redisLatency = new Histogram({
    name: 'rustory_tracker_redis_probe_duration_seconds',
    help: 'Time Redis took to answer a probe; absent with the memory registry.',
    buckets: REDIS_BUCKETS,
    registers: redis ? registers : [],
  });
  // Series exist from the start, so that a dashboard can tell «none yet» from «not measured».
  for (const outcome of ['registered', 'full', 'foreign'] satisfies RegistrationOutcome[])
    registrations.inc({ outcome }, 0);
  for (const reason of PROBLEM_CODES) refusals.inc({ reason }, 0);

  const children = new Map<string, ReturnType<typeof requests.labels>>();
  return {
    registry,
    request(method, route, status, seconds) {
      // Looking a series up by its labels costs more than observing it; there are some dozens of them.
      const known = METHODS.has(method) ? method : 'OTHER';
      const name = `${known} ${route} ${status}`;
      let child = children.get(name);
      if (child === undefined) {
        child = requests.labels(known, route, String(status));
        children.set(name, child);
      }
      child.observe(seconds);
    },
    registration: (outcome) => registrations.inc({ outcome }),
    refusal: (reason) => refusals.inc({ reason }),
    addressesDropped: (count) => dropped.inc(count),
    redisProbe(seconds) {
      redisUp.set(seconds === undefined ? 0 : 1);
      if (seconds !== undefined) redisLatency.observe(seconds);
    },
  };
}
