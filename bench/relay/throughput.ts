// Bytes through circuits.
import type { Benchmark, Column, Goal, Run } from '../benchmark.ts';
import { prepareBulk } from '../rust/bulk.ts';
import { unavailableRust } from '../rust/programs.ts';
import { CPU_PER_GB, MB_PER_SECOND, RSS } from './columns.ts';
import { startLoad } from './load-process.ts';
import { RAISED_LIMITS, relayRuns } from './relays.ts';

const CIRCUITS = [1, 8] as const;

/** Bytes of all circuits of a run with scale 1. */
const BYTES = 100_000_000;

const COLUMNS: readonly [Column, ...Column[]] = [CPU_PER_GB, MB_PER_SECOND, RSS];

function caseOf(circuits: number): string {
  return circuits === 1 ? '1 circuit' : `${circuits} circuits`;
}

function benchmark(
  fields: Pick<Benchmark, 'name' | 'title' | 'about'>,
  goals: readonly Goal[],
  runs: readonly Run[],
): Benchmark {
  const table = { key: 'relay', title: fields.title, columns: COLUMNS, goals, runs };
  return { ...fields, raisedLimits: RAISED_LIMITS, tables: [table] };
}

function cpuGoal(atMost: number, note?: string): Goal {
  return {
    column: CPU_PER_GB.key,
    variant: 'ours',
    against: 'rust',
    atMost,
    ...(note !== undefined && { note }),
  };
}

function rustRuns(muxer: 'yamux' | 'mplex'): Run[] {
  return CIRCUITS.flatMap((circuits) =>
    relayRuns(
      async (context, relay) => {
        const bytesPerCircuit = Math.round((BYTES * context.scale) / circuits);
        return prepareBulk(context, { relay, muxer, circuits, bytesPerCircuit });
      },
      { case: caseOf(circuits), unavailable: unavailableRust },
    ),
  );
}

const RUST_ENDS = `Devices with rust-libp2p 0.55, as in released clients, send through circuits: one frame of the muxer in each message of Noise, and at most 16 KiB. Every circuit has a source and a target of its own, with connections of their own. The receivers hash what arrives, and all hashes must be equal.`;

const YAMUX = benchmark(
  { name: 'relay-yamux', title: 'Throughput, Rust devices with yamux', about: RUST_ENDS },
  [
    cpuGoal(
      0.6,
      'With one circuit the sender takes longer for a message than the relay, which then wakes up for single messages ([lanes](decisions/lanes.md)).',
    ),
    { column: MB_PER_SECOND.key, variant: 'ours', against: 'rust', cases: [caseOf(1)], atLeast: 1.2 },
  ],
  rustRuns('yamux'),
);

const MPLEX = benchmark(
  {
    name: 'relay-mplex',
    title: 'Throughput, Rust devices with mplex',
    about: `The same as with yamux, with the muxer of rr before 1.1.0. ${RUST_ENDS}`,
  },
  [cpuGoal(0.8)],
  rustRuns('mplex'),
);

const LARGE = benchmark(
  {
    name: 'relay-64k',
    title: 'Throughput, messages of 64 KiB',
    about: `Devices of this repository (\`bench/endpoints\`) send yamux frames that fill the largest message of Noise, 64 KiB, so that the cost of each message matters least. All of them are in one process. Every byte is compared with what was sent.`,
  },
  [
    cpuGoal(
      0.5,
      'Ciphers and the sockets of the kernel, which are outside JavaScript, take about half of what the Rust relay uses ([lanes](decisions/lanes.md)).',
    ),
  ],
  CIRCUITS.flatMap((circuits) =>
    relayRuns(
      async (context, relay) => {
        const bytes = Math.round((BYTES * context.scale) / circuits);
        return startLoad(context, 'bulk', { relay: relay.address, devices: circuits, bytes });
      },
      { case: caseOf(circuits) },
    ),
  ),
);

export const THROUGHPUT: readonly Benchmark[] = [YAMUX, MPLEX, LARGE];
