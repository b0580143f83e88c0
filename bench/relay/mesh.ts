// Meshes: every device of a user syncs with every other, all of them in the same second.
import type { Benchmark, Goal, Run, RunContext, Sample } from '../benchmark.ts';
import { prepareFleet } from '../rust/mesh.ts';
import { firstUnavailable, unavailableRr } from '../rust/programs.ts';
import { startTrackerBundle } from '../server-process.ts';
import { cpuPerOperation, figure, RSS } from './columns.ts';
import { OURS, RAISED_LIMITS, type RelayVariant, RUST, sampleOf } from './relays.ts';

interface Mesh {
  readonly devices: number;
  /** Longer than a round of the slowest relay on two cores, in seconds. */
  readonly intervalSeconds: number;
  /** Rounds that are measured: more than 1,000 syncs. */
  readonly rounds: number;
}

/** Enough to see in the warm-up that it works. */
const WARM_UP: Pick<Mesh, 'devices' | 'rounds'> = { devices: 4, rounds: 1 };

async function measureMesh(relay: RelayVariant, mesh: Mesh, context: RunContext): Promise<Sample> {
  const server = await relay.start(context);
  const tracker = await startTrackerBundle('ours', context);
  const { devices, intervalSeconds, rounds } = context.round === 0 ? { ...mesh, ...WARM_UP } : mesh;
  const fleet = await prepareFleet(context, {
    relay: server,
    tracker,
    devices,
    intervalSeconds,
    rounds,
    repeatedCircuits: relay === RUST ? 'figure' : 'error',
  });
  return sampleOf(server, fleet);
}

const CPU = cpuPerOperation('sync');
const ROUND_P50 = figure('roundP50Ms', 'A round, median', 'ms', { digits: 0, against: 'rust' });
const FAILED = figure('failedCircuits', 'Repeated circuits', '', { digits: 0 });
const ROUND_P95 = figure('roundP95Ms', 'A round, p95', 'ms', { digits: 0, against: 'rust' });

function benchmark(mesh: Mesh, cpuNote?: Required<Pick<Goal, 'note'>>): Benchmark {
  const { devices, intervalSeconds } = mesh;
  const title = `A mesh of ${devices} devices of rr 1.x`;
  return {
    name: `mesh-${devices}`,
    title,
    about: `${devices} devices with the stand-in for rr 1.x (rust-libp2p, yamux) and one user sync with each other every ${intervalSeconds} seconds, all starting in the same second: ${devices * (devices - 1)} empty syncs in each round, four at a time by each device. Tracker, relay and all devices share the machine. A circuit of ours that failed voids the run, also one that the device repeated. The Rust relay fails some circuits with MALFORMED_MESSAGE, when the connection of the target ends while it asks; if the devices repeat them with success, they are only counted, because almost none of its runs is without. The relay before is not shown: it fails 12 % of the circuits of a mesh, because it asks the wrong connection of the target.`,
    raisedLimits: RAISED_LIMITS,
    tables: [
      {
        key: 'mesh',
        title,
        columns: [CPU, ROUND_P50, ROUND_P95, FAILED, RSS],
        goals: [
          { column: CPU.key, variant: 'ours', against: 'rust', atMost: 1.5, ...cpuNote },
          { column: ROUND_P50.key, variant: 'ours', against: 'rust', atMost: 1.2 },
          { column: ROUND_P95.key, variant: 'ours', against: 'rust', atMost: 1.2 },
          { column: RSS.key, variant: 'ours', atMost: 128 },
        ],
        runs: [OURS, RUST].map((relay): Run => ({
          case: '',
          variant: relay.variant,
          title: relay.title,
          unavailable: firstUnavailable(relay.unavailable, unavailableRr),
          run: async (context) => measureMesh(relay, mesh, context),
        })),
      },
    ],
  };
}

export const MESHES: readonly Benchmark[] = [
  benchmark(
    { devices: 12, intervalSeconds: 4, rounds: 8 },
    {
      note: 'While these 1,056 syncs run, the relay still compiles its code, which is about 0.15 of the ratio ([relay](decisions/relay-node.md)).',
    },
  ),
  benchmark({ devices: 30, intervalSeconds: 12, rounds: 2 }),
];
