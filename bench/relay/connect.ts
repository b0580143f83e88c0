// What a device needs before a byte is relayed: a connection, a reservation, a circuit.
import type { Benchmark, Goal, Table } from '../benchmark.ts';
import { cpuPerOperation, latency, RSS } from './columns.ts';
import { startLoad } from './load-process.ts';
import { RAISED_LIMITS, relayRuns } from './relays.ts';

/** Devices of a run with scale 1: below the raised limit of reservations. */
const RESERVATIONS = 3_000;

/** Circuits of a run with scale 1: a second of CPU time, of which the compilation of a fresh process is a small part. */
const CIRCUITS = 4_000;

/** A tenth for the relay before: three seconds of its CPU time. */
const BEFORE_SCALE = 0.1;

const CONCURRENCY = 8;

/** Devices that open circuits, and devices that accept them. */
const DEVICES = 50;

const LATENCIES = [latency('p50', 'p50', 0.5), latency('p99', 'p99', 0.99)] as const;

function cpuGoal(atMost: number): Goal {
  return { column: 'cpuMs', variant: 'ours', against: 'rust', atMost };
}

const RESERVE: Table = {
  key: 'reserve',
  title: 'Connect and reserve',
  columns: [cpuPerOperation('device'), ...LATENCIES, RSS],
  goals: [cpuGoal(1.8)],
  runs: relayRuns(
    async (context, relay) =>
      startLoad(context, 'reserve', {
        relay: relay.address,
        operations: Math.round(RESERVATIONS * context.scale),
        concurrency: CONCURRENCY,
      }),
    { beforeScale: BEFORE_SCALE },
  ),
};

const CIRCUIT: Table = {
  key: 'circuit',
  title: 'Circuits',
  columns: [cpuPerOperation('circuit'), ...LATENCIES, RSS],
  goals: [cpuGoal(1.5)],
  runs: relayRuns(
    async (context, relay) =>
      startLoad(context, 'circuits', {
        relay: relay.address,
        devices: DEVICES,
        operations: Math.round(CIRCUITS * context.scale),
        concurrency: CONCURRENCY,
      }),
    { beforeScale: BEFORE_SCALE },
  ),
};

export const CONNECT: Benchmark = {
  name: 'connect',
  title: 'Connections, reservations and circuits',
  about: `${CONCURRENCY} devices of \`bench/endpoints\` at a time, with yamux, all in one process. "Connect and reserve" is TCP, swarm key, Noise, muxer, identify in both directions, a ping, and RESERVE; the devices stay. "Circuits" are opened by ${DEVICES} connected devices to ${DEVICES} others, each to all, and closed at once; the time is that from CONNECT until the circuit is open. Relays are fresh processes, so the figures contain the work of their compilers: the first 1,000 circuits of a relay cost about twice as much each as later ones.`,
  raisedLimits: RAISED_LIMITS,
  tables: [RESERVE, CIRCUIT],
};
