// The relays that are measured.
import type { Run, RunContext, Sample } from '../benchmark.ts';
import { type Build, unavailableBuild } from '../builds.ts';
import { measure } from '../measure.ts';
import { firstUnavailable, unavailableRust } from '../rust/programs.ts';
import { startRustRelayServer } from '../rust/relay-server.ts';
import { type RelayServer, startRelayBundle } from '../server-process.ts';
import { peakResidentMiB } from '../../testing/process-usage.ts';
import type { Load } from '../rust/load.ts';

export interface RelayVariant {
  readonly variant: 'ours' | 'before' | 'rust' | 'rust-defaults';
  readonly title: string;
  readonly unavailable: () => Promise<string | undefined>;
  /** Starts it on loopback, by default on a free port. Two relays of one run have the same peer id. */
  readonly start: (
    context: Pick<RunContext, 'folder' | 'onEnd'>,
    options?: { readonly port?: number; readonly limits?: 'raised' | 'default' },
  ) => Promise<RelayServer>;
}

/**
 * Limits of our relays for loads that are larger than one network has: thousands of operations in seconds, of few devices.
 * No check is skipped; each only allows more.
 */
const RAISED: Readonly<Record<string, string>> = {
  RELAY_MAX_RESERVATIONS: '4096',
  RELAY_MAX_CONNECTIONS: '8192',
  RELAY_MAX_CONNECTIONS_PER_PEER: '1024',
  RELAY_MAX_PENDING_CONNECTIONS: '4096',
  RELAY_MAX_CIRCUITS: '4096',
  RELAY_MAX_CIRCUITS_PER_PEER: '1024',
  RELAY_CIRCUITS_PER_MINUTE: '60000',
  RELAY_CIRCUIT_BYTES: String(64 * 1024 ** 3),
};

/** For `Benchmark.raisedLimits`. */
export const RAISED_LIMITS: readonly string[] = [
  ...Object.entries(RAISED).map(([name, value]) => `\`${name}=${value}\``),
  'the Rust relay has no limits',
];

function bundle(build: Build, title: string): RelayVariant {
  return {
    variant: build,
    title,
    unavailable: async () => unavailableBuild(build),
    start: async (context, { port = 0, limits = 'raised' } = {}) =>
      startRelayBundle(build, context, { port, env: limits === 'raised' ? RAISED : {} }),
  };
}

export const OURS = bundle('ours', 'ours');
export const BEFORE = bundle('before', 'before');

export const RUST: RelayVariant = {
  variant: 'rust',
  title: 'Rust relay',
  unavailable: unavailableRust,
  start: async (context, { port = 0 } = {}) => startRustRelayServer(context, { port }),
};

/** The limits of the relay of rr 0.1, which are those of the library. */
export const RUST_DEFAULTS: RelayVariant = {
  ...RUST,
  variant: 'rust-defaults',
  title: 'Rust relay, limits of libp2p 0.55',
  start: async (context, { port = 0 } = {}) => startRustRelayServer(context, { port, limits: 'defaults' }),
};

export const RELAYS: readonly RelayVariant[] = [OURS, BEFORE, RUST];

interface RelayRunOptions {
  readonly case?: string;
  readonly relays?: readonly RelayVariant[];
  /** Factor for the load of the relay before, which needs many times the CPU time of the others. Default 1. */
  readonly beforeScale?: number;
  /** What the load needs in addition to the relay. */
  readonly unavailable?: () => Promise<string | undefined>;
}

/** One run for each relay: starts it, prepares the load, and measures the work. */
export function relayRuns(
  prepare: (context: RunContext, relay: RelayServer) => Promise<Load>,
  {
    case: name = '',
    relays = RELAYS,
    beforeScale = 1,
    unavailable = async () => undefined,
  }: RelayRunOptions = {},
): Run[] {
  return relays.map((relay) => ({
    case: name,
    variant: relay.variant,
    title: relay.title,
    unavailable: firstUnavailable(relay.unavailable, unavailable),
    run: async (context) => {
      const server = await relay.start(context);
      const scale = context.scale * (relay === BEFORE ? beforeScale : 1);
      return sampleOf(server, await prepare({ ...context, scale }, server));
    },
  }));
}

/** Measures the work of a load, and the highest memory of the relay since its start. */
export async function sampleOf(server: RelayServer, load: Load): Promise<Sample> {
  const { usage, result } = await measure({ servers: [server], load: load.processes }, async () =>
    load.work(),
  );
  return { ...usage, rssBytes: peakResidentMiB(server) * 1024 ** 2, ...result };
}
