// The memory of a relay: after its start, with idle devices, and while bytes pass.
import { setTimeout as sleep } from 'node:timers/promises';
import { peakResidentMiB, residentMiB } from '../../testing/process-usage.ts';
import type { Benchmark, Run, RunContext, Sample } from '../benchmark.ts';
import { figure } from './columns.ts';
import { startLoad } from './load-process.ts';
import { BEFORE, OURS, RAISED_LIMITS, type RelayVariant, sampleOf } from './relays.ts';
import { resetPeak } from './peak-memory.ts';

const DEVICES = 1_000;
const CONCURRENCY = 8;
const GIB = 1024 ** 3;

/** Between the line that says that it listens and the measurement, in milliseconds. */
const SETTLE_MS = 10_000;

/** Between the last reservation and the measurement, in milliseconds. */
const IDLE_MS = 5_000;

/** The warm-up is a hundredth of a run. */
const WARM_UP_SHARE = 0.01;

async function measureMemory(relay: RelayVariant, context: RunContext): Promise<Sample> {
  const share = context.round === 0 ? WARM_UP_SHARE : 1;
  const devices = Math.round(DEVICES * share);
  const server = await relay.start(context);
  await sleep(SETTLE_MS * share);
  const atRestMiB = residentMiB(server);
  const idle = await startLoad(context, 'reserve', {
    relay: server.address,
    operations: devices,
    concurrency: CONCURRENCY,
  });
  const { errors } = await idle.work();
  await sleep(IDLE_MS * share);
  const idleMiB = residentMiB(server);
  resetPeak(server);
  const bulk = await startLoad(context, 'bulk', {
    relay: server.address,
    devices: 1,
    bytes: Math.round(GIB * share),
  });
  const sample = await sampleOf(server, bulk);
  return {
    ...sample,
    figures: {
      atRestMiB,
      perDeviceKiB: ((idleMiB - atRestMiB) * 1024) / devices,
      peakMiB: peakResidentMiB(server),
    },
    errors: [...errors, ...sample.errors],
  };
}

export const MEMORY: Benchmark = {
  name: 'memory',
  title: 'Memory of the relay',
  about: `Resident memory: 10 s after the relay listens; what each of ${DEVICES.toLocaleString('en-US')} devices adds that hold a reservation and the ping stream of rust-libp2p, 5 s after the last one; and the peak while 1 GiB passes through one circuit, in messages of 64 KiB, with all these devices connected. It contains the mapped pages of the executable of Node.js. The machine has no memory limit, so Node.js collects garbage late.`,
  raisedLimits: RAISED_LIMITS,
  tables: [
    {
      key: 'memory',
      title: 'Resident memory of the relay',
      minimum: 'any',
      columns: [
        figure('atRestMiB', '10 s after the start', 'MiB', { digits: 0 }),
        figure('perDeviceKiB', 'Each idle device', 'KiB'),
        figure('peakMiB', `${DEVICES.toLocaleString('en-US')} devices and 1 GiB passing`, 'MiB', {
          digits: 0,
        }),
      ],
      goals: [
        { column: 'atRestMiB', variant: 'ours', atMost: 80 },
        { column: 'perDeviceKiB', variant: 'ours', atMost: 25 },
        { column: 'peakMiB', variant: 'ours', atMost: 128 },
      ],
      runs: [OURS, BEFORE].map((relay): Run => ({
        case: '',
        variant: relay.variant,
        title: relay.title,
        unavailable: relay.unavailable,
        run: async (context) => measureMemory(relay, context),
      })),
    },
  ],
};
