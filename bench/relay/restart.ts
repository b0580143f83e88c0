// All devices come back after their relay was killed.
import type { Benchmark, Run, RunContext, Sample } from '../benchmark.ts';
import { parsePort } from './addresses.ts';
import { figure, RSS } from './columns.ts';
import { startLoad } from './load-process.ts';
import { OURS, RAISED_LIMITS, type RelayVariant, RUST, sampleOf } from './relays.ts';

const DEVICES = 2_000;

/** Enough to see in the warm-up that it works. */
const WARM_UP_DEVICES = 100;

async function measureRestart(relay: RelayVariant, context: RunContext): Promise<Sample> {
  const devices = context.round === 0 ? WARM_UP_DEVICES : DEVICES;
  const first = await relay.start(context);
  const load = await startLoad(context, 'reconnect', { relay: first.address, devices });
  await first.kill();
  const second = await relay.start(context, { port: parsePort(first.address) });
  const sample = await sampleOf(second, load);
  const { latenciesMs = [] } = sample;
  return {
    ...sample,
    figures: {
      ...sample.figures,
      backSeconds: Math.max(...latenciesMs) / 1000,
      cpuSeconds: sample.cpuSeconds,
    },
  };
}

export const RESTART: Benchmark = {
  name: 'restart',
  title: 'All devices come back',
  about: `${DEVICES.toLocaleString('en-US')} devices of \`bench/endpoints\` hold reservations when the relay is killed (SIGKILL) and started again at the same port. Each tries again as rr does, 5, 10, 20, 40 and 60 seconds after a loss or a refusal, without jitter, so all come back in the same second. The time is that from the first attempt until all have reserved again; CPU time is that of the new relay.`,
  raisedLimits: RAISED_LIMITS,
  tables: [
    {
      key: 'devices',
      title: `${DEVICES.toLocaleString('en-US')} devices come back`,
      columns: [
        figure('cpuSeconds', 'CPU of the relay', 's', { against: 'rust', digits: 2 }),
        figure('backSeconds', 'Time until all are back', 's', { against: 'rust', digits: 2 }),
        figure('attempts', 'Attempts', '', { digits: 0 }),
        RSS,
      ],
      goals: [
        { column: 'cpuSeconds', variant: 'ours', against: 'rust', atMost: 1.8 },
        { column: 'backSeconds', variant: 'ours', against: 'rust', atMost: 1.8 },
      ],
      runs: [OURS, RUST].map((relay): Run => ({
        case: '',
        variant: relay.variant,
        title: relay.title,
        unavailable: relay.unavailable,
        run: async (context) => measureRestart(relay, context),
      })),
    },
  ],
};
