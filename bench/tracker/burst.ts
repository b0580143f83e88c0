// All devices register at once, each over its own connection, as after a restart of the tracker.
import { setImmediate } from 'node:timers/promises';
import type { Benchmark, Run, RunContext, Sample } from '../benchmark.ts';
import { type Build, unavailableBuild } from '../builds.ts';
import { measure } from '../measure.ts';
import { figureColumn, latencyColumn } from './columns.ts';
import { KeepAliveLoad } from './keep-alive-load.ts';
import { checkRegistered, REGISTERED, Registrations } from './register-load.ts';
import { requestAsRr, type RrRequest } from './rr-client.ts';
import { makeDevices, RegisterRequest } from './rr-devices.ts';
import { startTracker } from './servers.ts';

const DEVICES = 10_000;

/** Registrations before the measurement, so that the code of the tracker is compiled, as that of a running one. */
const WARM_UP = 12_000;

/** Connections that are opened before this process reads again. All of them in one go would make their time limits expire. */
const GROUP = 100;

/** Opens all connections as fast as this process can. */
async function sendAll(
  port: number,
  requests: readonly Buffer[],
): Promise<PromiseSettledResult<RrRequest>[]> {
  const sent: Promise<RrRequest>[] = [];
  for (const bytes of requests) {
    sent.push(requestAsRr(port, bytes, REGISTERED));
    if (sent.length % GROUP === 0) await setImmediate();
  }
  return Promise.allSettled(sent);
}

async function measureBurst(build: Build, context: RunContext): Promise<Sample> {
  const devices = makeDevices(DEVICES, 20);
  const tracker = await startTracker(build, 'memory', context);
  const { port } = tracker;
  const { next } = new Registrations(devices, port);
  const warmUp = await KeepAliveLoad.open({ port, check: REGISTERED, next });
  context.onEnd(() => warmUp.close());
  await warmUp.send(WARM_UP);
  warmUp.close();
  const requests = devices.map((device) => new RegisterRequest(device, port).repeated(0));
  const { usage, result } = await measure({ servers: [tracker], load: [] }, async () =>
    sendAll(port, requests),
  );
  const errors = result.flatMap((each) => (each.status === 'rejected' ? [String(each.reason)] : []));
  const done = result.flatMap((each): RrRequest[] => (each.status === 'fulfilled' ? [each.value] : []));
  const failed = done.filter(({ failure }) => failure !== undefined).length;
  if (errors.length + failed === 0) await checkRegistered(tracker, devices);
  return {
    ...usage,
    operations: done.length,
    latenciesMs: done.map(({ milliseconds }) => milliseconds),
    figures: { failed, repeated: done.filter(({ tries }) => tries > 1).length - failed },
    errors,
  };
}

const run = (build: Build): Run => ({
  case: '',
  variant: build,
  title: build === 'ours' ? 'tracker' : 'tracker before',
  unavailable: async () => unavailableBuild(build),
  run: async (context) => measureBurst(build, context),
});

export const burstBenchmark: Benchmark = {
  name: 'tracker-burst',
  title: 'Tracker: 10,000 devices register at once',
  about: `${DEVICES.toLocaleString('en-US')} devices open a connection each and register in the same moment, with the time limits and the three tries of \`rr\` 1.x: 0.3, 0.6 and 1.2 seconds to connect, 1, 2 and 4 for the answer. A refused registration voids the run, and afterwards the tracker must have all devices. Latencies include failed tries, and the load's own time, because one process makes all connections.`,
  raisedLimits: [],
  tables: [
    {
      key: 'burst',
      title: '10,000 devices register at once',
      columns: [
        {
          key: 'all',
          title: 'time to all',
          unit: 's',
          against: 'before',
          read: ({ seconds }) => seconds,
        },
        latencyColumn(0.5),
        { ...latencyColumn(0.99, 'before') },
        figureColumn('repeated', 'answered at the 2nd or 3rd try', '', 0),
        figureColumn('failed', 'not answered', '', 0),
        {
          key: 'cpu',
          title: 'CPU',
          unit: 'µs per registration',
          digits: 0,
          against: 'before',
          read: ({ cpuSeconds, operations }) => (cpuSeconds * 1e6) / operations,
        },
      ],
      goals: [{ column: 'failed', variant: 'ours', atMost: 0 }],
      runs: [run('ours'), run('before')],
    },
  ],
};
