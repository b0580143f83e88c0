// The relays that are measured.
import type { RunContext } from '../benchmark.ts';
import { type Build, unavailableBuild } from '../builds.ts';
import { type RelayServer, startRelayBundle } from '../server-process.ts';

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
  'the Rust relay has limits above every load',
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
