// Meshes: every device of a user syncs with every other, all of them in the same second.
import type { Benchmark, Run, RunContext, Sample } from '../benchmark.ts';
import { prepareFleet } from '../rust/mesh.ts';
import { firstUnavailable, unavailableRr } from '../rust/programs.ts';
import { startTrackerBundle } from '../server-process.ts';
import { cpuPerOperation, figure, RSS } from './columns.ts';
import { RAISED_LIMITS, RELAYS, type RelayVariant, sampleOf } from './relays.ts';

interface Mesh {
  readonly devices: number;
  /** Longer than a round of the slowest relay on two cores, in seconds. */
  readonly intervalSeconds: number;
  /** Rounds of the mesh in a run with scale 1. */
  readonly rounds: number;
}

async function measureMesh(relay: RelayVariant, mesh: Mesh, context: RunContext): Promise<Sample> {
  const server = await relay.start(context);
  const tracker = await startTrackerBundle('ours', context);
  const rounds = Math.ceil(mesh.rounds * context.scale);
  const { devices, intervalSeconds } = mesh;
  const fleet = await prepareFleet(context, { relay: server, tracker, devices, intervalSeconds, rounds });
  return sampleOf(server, fleet);
}

const CPU = cpuPerOperation('sync');
const ROUND_P50 = figure('roundP50Ms', 'A round, median', 'ms', { digits: 0, against: 'rust' });
const ROUND_P95 = figure('roundP95Ms', 'A round, p95', 'ms', { digits: 0, against: 'rust' });

function benchmark(mesh: Mesh): Benchmark {
  const { devices, intervalSeconds } = mesh;
  const title = `A mesh of ${devices} devices of rr 1.x`;
  return {
    name: `mesh-${devices}`,
    title,
    about: `${devices} devices with the stand-in for rr 1.x (rust-libp2p, yamux) and one user sync with each other every ${intervalSeconds} seconds, all starting in the same second: ${devices * (devices - 1)} empty syncs in each round, four at a time by each device. Tracker, relay and all devices share the machine. A round with a failed circuit, also one that a retry hid, voids the run.`,
    raisedLimits: RAISED_LIMITS,
    tables: [
      {
        key: 'mesh',
        title,
        columns: [CPU, ROUND_P50, ROUND_P95, RSS],
        goals: [
          { column: CPU.key, variant: 'ours', against: 'rust', atMost: 1.5 },
          { column: ROUND_P50.key, variant: 'ours', against: 'rust', atMost: 1.2 },
          { column: ROUND_P95.key, variant: 'ours', against: 'rust', atMost: 1.2 },
          { column: RSS.key, variant: 'ours', atMost: 128 },
        ],
        runs: RELAYS.map((relay): Run => ({
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
  benchmark({ devices: 12, intervalSeconds: 5, rounds: 2 }),
  benchmark({ devices: 30, intervalSeconds: 25, rounds: 1 }),
];
