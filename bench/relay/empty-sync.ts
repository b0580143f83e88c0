// Syncs that find nothing new: most of what real devices ask of a relay.
import type { Benchmark } from '../benchmark.ts';
import { prepareEmptySyncs } from '../rust/empty-syncs.ts';
import { unavailableRust } from '../rust/programs.ts';
import { cpuPerOperation, latency, RSS } from './columns.ts';
import { startLoad } from './load-process.ts';
import { RAISED_LIMITS, relayRuns } from './relays.ts';

/** Syncs of a run with scale 1. */
const SYNCS = 1_500;

/** A quarter for the relay before: three seconds of its CPU time. */
const BEFORE_SCALE = 0.25;

/** What a device of rr does at the same time. */
const PARALLEL = 4;

const DEVICES = 12;

const CPU = cpuPerOperation('sync');

/** The devices of released clients; the goals are about them. */
const RUST_CASE = 'Rust devices';

export const EMPTY_SYNC: Benchmark = {
  name: 'empty-sync',
  title: 'Empty syncs',
  about: `What rr does with each other device once a minute, while there is nothing new: a new connection to the relay, identify, a circuit, and in it swarm key, Noise, muxer, identify, and one pull with an empty answer; then it leaves. ${PARALLEL} syncs at a time with ${DEVICES} devices that hold reservations, all with yamux. A sync without its answer voids the run. The Rust devices are rust-libp2p 0.55; the other ones are those of \`bench/endpoints\`, which need less CPU time and are all in one process.`,
  raisedLimits: RAISED_LIMITS,
  tables: [
    {
      key: 'syncs',
      title: 'Empty syncs',
      columns: [CPU, latency('p50', 'p50', 0.5), latency('p99', 'p99', 0.99), RSS],
      goals: [
        {
          column: CPU.key,
          variant: 'ours',
          against: 'rust',
          cases: [RUST_CASE],
          atMost: 1.5,
          note: 'A fresh relay compiles its code in these syncs; in the mesh of 30, which has had 870 before, a sync costs less.',
        },
      ],
      runs: [
        ...relayRuns(
          async (context, relay) =>
            prepareEmptySyncs(context, {
              relay,
              muxer: 'yamux',
              count: Math.round(SYNCS * context.scale),
              parallel: PARALLEL,
              targets: DEVICES,
            }),
          { case: RUST_CASE, beforeScale: BEFORE_SCALE, unavailable: unavailableRust },
        ),
        ...relayRuns(
          async (context, relay) =>
            startLoad(context, 'syncs', {
              relay: relay.address,
              devices: DEVICES,
              operations: Math.round(SYNCS * context.scale),
              concurrency: PARALLEL,
            }),
          { case: 'JavaScript devices', beforeScale: BEFORE_SCALE },
        ),
      ],
    },
  ],
};
