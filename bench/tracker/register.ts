// Registrations per second, over connections that stay open.
import type { Benchmark, Run, RunContext, Sample, Table } from '../benchmark.ts';
import { type Build, unavailableBuild } from '../builds.ts';
import { exactBody } from './answer-reader.ts';
import { cpuColumn, latencyColumn, rateColumn, REDIS_COLUMN, speedGoals } from './columns.ts';
import { announcements } from './discosrv-devices.ts';
import type { Exchange } from './exchange.ts';
import { CONNECTIONS, KeepAliveLoad } from './keep-alive-load.ts';
import {
  checkRegistered,
  measureLoad,
  registerAll,
  REGISTERED,
  Registrations,
  WARM_UP_TEXT,
} from './register-load.ts';
import { makeDevices, RegisterRequest, type RrDevice } from './rr-devices.ts';
import {
  bareAnswer,
  checkSameAnswer,
  type Context,
  discosrvUnavailable,
  type RegistryKind,
  startBare,
  startDiscosrv,
  startTracker,
} from './servers.ts';

/** Devices that register in turn. */
const DEVICES = 1_000;

/** Devices of one user. */
const PER_USER = 20;

const REPEATED = 'bodies that repeat';
const NEW = 'new bodies';

const devicesOf = (): RrDevice[] => makeDevices(DEVICES, PER_USER);

async function measureTracker(
  build: Build,
  registry: RegistryKind,
  isNew: boolean,
  context: RunContext,
): Promise<Sample> {
  const devices = devicesOf();
  const tracker = await startTracker(build, registry, context);
  await registerAll(tracker, devices, context.onEnd);
  const { next } = new Registrations(devices, tracker.port, isNew);
  const load = await KeepAliveLoad.open({ port: tracker.port, check: REGISTERED, next });
  context.onEnd(() => load.close());
  const sample = await measureLoad(tracker, load, context);
  await checkRegistered(tracker, devices, isNew);
  return sample;
}

/** What our tracker answers to a registration. It is idle until the end of the run. */
async function recordAnswer(context: Context): Promise<Exchange> {
  const tracker = await startTracker('ours', 'memory', context);
  return registerAll(tracker, devicesOf().slice(0, 1), context.onEnd);
}

async function measureBare(context: RunContext): Promise<Sample> {
  const devices = devicesOf();
  const answer = await recordAnswer(context);
  const server = await startBare({ register: bareAnswer(answer) }, context);
  await checkSameAnswer(server, new RegisterRequest(devices[0] as RrDevice, server.port).repeated(0), answer);
  const { next } = new Registrations(devices, server.port);
  const load = await KeepAliveLoad.open({ port: server.port, check: REGISTERED, next });
  context.onEnd(() => load.close());
  return measureLoad(server, load, context);
}

async function measureDiscosrv(context: RunContext): Promise<Sample> {
  const server = await startDiscosrv(context);
  const requests = announcements(DEVICES, server.port);
  let at = 0;
  const next = (): Buffer => {
    at = (at + 1) % requests.length;
    return requests[at] as Buffer;
  };
  const load = await KeepAliveLoad.open({ port: server.port, check: exactBody(204, Buffer.alloc(0)), next });
  context.onEnd(() => load.close());
  return measureLoad(server, load, context);
}

/** A row of the tracker. */
function trackerRun(build: Build, registry: RegistryKind, isNew: boolean): Run {
  return {
    case: isNew ? NEW : REPEATED,
    variant: build,
    title: build === 'ours' ? 'tracker' : 'tracker before',
    unavailable: async () => unavailableBuild(build),
    run: async (context) => measureTracker(build, registry, isNew, context),
  };
}

const BARE: Run = {
  case: REPEATED,
  variant: 'bare',
  title: 'bare node:http',
  unavailable: async () => unavailableBuild('ours'),
  run: measureBare,
};

const ABOUT = `${DEVICES.toLocaleString('en-US')} devices, ${PER_USER} of each user, register in turn over ${CONNECTIONS} connections with the requests of \`rr\` 1.x: one circuit, \`null\` for absent fields, and a proof that is new in each request.
In "${REPEATED}" the stored fields are those of the last registration, as \`rr\` repeats them every 30 seconds; in "${NEW}" the address differs in each. The bare server parses the same JSON and sends the same headers and bytes. After each run the tracker must have exactly these devices. ${WARM_UP_TEXT}`;

const LATENCIES = [latencyColumn(0.5), latencyColumn(0.99)] as const;

const memory: Table = {
  key: 'memory',
  title: 'Registrations, memory registry',
  columns: [
    rateColumn('bare'),
    rateColumn('before', 'rateBefore'),
    cpuColumn('bare'),
    cpuColumn('before', 'cpuBefore'),
    ...LATENCIES,
  ],
  goals: [
    ...speedGoals(0.8, 'bare', [REPEATED], {
      note: 'The tracker checks tokens, limits, addresses and claims of identities, and counts; the bare server does not.',
    }),
    ...speedGoals(2.84, 'before', [REPEATED], { columns: ['rateBefore', 'cpuBefore'] }),
  ],
  runs: [
    trackerRun('ours', 'memory', false),
    BARE,
    trackerRun('before', 'memory', false),
    trackerRun('ours', 'memory', true),
    trackerRun('before', 'memory', true),
  ],
};

const redis: Table = {
  key: 'redis',
  title: 'Registrations, Redis',
  columns: [
    rateColumn('bare'),
    rateColumn('discosrv', 'rateDiscosrv'),
    cpuColumn('bare'),
    cpuColumn('discosrv', 'cpuDiscosrv'),
    REDIS_COLUMN,
    ...LATENCIES,
  ],
  goals: [
    ...speedGoals(0.4, 'bare', [REPEATED], {
      note: 'Redis, which has one thread, uses more CPU time for a registration than the bare server for a request (its column); the tracker adds the calls of Redis to its own work.',
    }),
    ...speedGoals(1.5, 'discosrv', [REPEATED], {
      columns: ['rateDiscosrv', 'cpuDiscosrv'],
      note: 'syncthing-discosrv answers from its own process; with the memory registry the tracker answers more than it.',
    }),
  ],
  runs: [
    trackerRun('ours', 'redis', false),
    BARE,
    trackerRun('before', 'redis', false),
    {
      case: REPEATED,
      variant: 'discosrv',
      title: 'syncthing-discosrv',
      unavailable: discosrvUnavailable,
      run: measureDiscosrv,
    },
    trackerRun('ours', 'redis', true),
    trackerRun('before', 'redis', true),
  ],
};

export const registerBenchmark: Benchmark = {
  name: 'tracker-register',
  title: 'Tracker: registrations, memory registry',
  about: ABOUT,
  raisedLimits: [],
  tables: [memory],
};

export const registerRedisBenchmark: Benchmark = {
  name: 'tracker-register-redis',
  title: 'Tracker: registrations, Redis',
  about: `${ABOUT} Syncthing's discovery server (Debian's \`syncthing-discosrv\`, its database on the disk) gets announcements of two addresses over plain HTTP, with the client certificate in a header, as behind a proxy: without the TLS that it would otherwise end.`,
  raisedLimits: [],
  tables: [redis],
};
