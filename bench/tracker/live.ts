// Latency and memory with 100,000 live registrations, against 100.
import { residentMiB } from '../../testing/process-usage.ts';
import type { Benchmark, Run, RunContext, Sample } from '../benchmark.ts';
import { type Build, unavailableBuild } from '../builds.ts';
import { measure } from '../measure.ts';
import { figureColumn, latencyColumn } from './columns.ts';
import { exchange } from './exchange.ts';
import { HEARTBEAT_MS } from './heartbeat-load.ts';
import { KeepAliveLoad } from './keep-alive-load.ts';
import { Heartbeats, ListingCheck } from './listing-check.ts';
import { quantile } from '../statistics.ts';
import { checkLive, registerAll, REGISTERED } from './register-load.ts';
import { listRequest, makeDevices, RegisterRequest, type RrDevice, TOKENS, userName } from './rr-devices.ts';
import { startTracker } from './servers.ts';

const MANY = 100_000;
const FEW = 100;
const PER_USER = 20;

/** Registrations per second: those of the many devices, each every 30 seconds. The few send the same number. */
const PER_SECOND = MANY / (HEARTBEAT_MS / 1_000);

/** Listings per second of one user, whose devices register as well. */
const LISTINGS_PER_SECOND = 100;

/** In milliseconds. */
const [WARM_UP_MS, MEASURE_MS] = [2_000, 5_000];

const RAISED = { TRACKER_MAX_PEERS: String(MANY) };

async function measureLive(build: Build, count: number, context: RunContext): Promise<Sample> {
  const { onEnd, scale } = context;
  const tracker = await startTracker(build, 'memory', context, RAISED);
  const { port } = tracker;
  const devices = makeDevices(count, PER_USER).toReversed();
  // In the order of the load, so that each device registers again half its time to live later.
  await registerAll(tracker, devices, onEnd);
  const asked = { port, userId: userName(0), token: TOKENS[0] ?? '' };
  const first = await exchange(port, listRequest(asked));
  // The registrations of the load are not counted, so a listing is checked for its devices only.
  const check = new ListingCheck(devices.slice(-PER_USER), new Heartbeats());
  check.check(first.body);
  let sequence = 1;
  const registering = await KeepAliveLoad.open({
    port,
    check: REGISTERED,
    next: () => {
      const device = devices[sequence % count] as RrDevice;
      sequence += 1;
      return new RegisterRequest(device, port).repeated(sequence);
    },
  });
  onEnd(() => registering.close());
  const question = listRequest(asked);
  const listing = await KeepAliveLoad.open({ port, check, next: () => question }, 4);
  onEnd(() => listing.close());
  const both = async (milliseconds: number) =>
    Promise.all([
      registering.runAt(PER_SECOND, milliseconds),
      listing.runAt(LISTINGS_PER_SECOND, milliseconds),
    ]);
  await both(WARM_UP_MS);
  const { usage, result } = await measure({ servers: [tracker], load: [] }, async () =>
    both(MEASURE_MS * scale),
  );
  const [registrations, listings] = result;
  await checkLive(tracker, count);
  return {
    ...usage,
    operations: registrations.operations + listings.operations,
    latenciesMs: registrations.latenciesMs,
    rssBytes: residentMiB(tracker) * 1024 * 1024,
    figures: {
      listP50: quantile(listings.latenciesMs, 0.5),
      listP99: quantile(listings.latenciesMs, 0.99),
    },
    errors: [],
  };
}

function run(build: Build, variant: string, count: number): Run {
  return {
    case: '',
    variant,
    title: `${build === 'ours' ? 'tracker' : 'tracker before'}, ${count.toLocaleString('en-US')} live`,
    unavailable: async () => unavailableBuild(build),
    run: async (context) => measureLive(build, count, context),
  };
}

export const liveBenchmark: Benchmark = {
  name: 'tracker-live',
  title: 'Tracker: 100,000 live registrations',
  about: `100,000 devices register every 30 seconds, ${PER_SECOND.toFixed(0)} times per second in all, while the devices of one user (${PER_USER}) are listed ${LISTINGS_PER_SECOND} times per second. The same requests for ${FEW} devices show what the number of registrations costs. Latencies include the time that a request waited for one of the connections.`,
  raisedLimits: [`TRACKER_MAX_PEERS=${MANY}`],
  tables: [
    {
      key: 'live',
      title: '100,000 live registrations',
      columns: [
        { ...latencyColumn(0.5, 'few'), title: 'register p50' },
        { ...latencyColumn(0.99, 'few'), title: 'register p99' },
        figureColumn('listP50', 'list p50', 'ms', 2, 'few'),
        figureColumn('listP99', 'list p99', 'ms', 2, 'few'),
        {
          key: 'cpu',
          title: 'CPU',
          unit: '% of one core',
          digits: 1,
          against: 'few',
          read: ({ cpuSeconds, seconds }) => (cpuSeconds / seconds) * 100,
        },
        {
          key: 'rss',
          title: 'RSS',
          unit: 'MB',
          digits: 0,
          read: ({ rssBytes }) => (rssBytes === undefined ? undefined : rssBytes / 1e6),
        },
      ],
      goals: [
        { column: 'p50', variant: 'ours', against: 'few', atMost: 1.2 },
        { column: 'listP50', variant: 'ours', against: 'few', atMost: 1.2 },
        { column: 'rss', variant: 'ours', atMost: 200 },
      ],
      runs: [run('ours', 'ours', MANY), run('ours', 'few', FEW), run('before', 'before', MANY)],
    },
  ],
};
