// The relay of rust-libp2p as a process: `rust-0.55 relay`. The interop matrix puts it in the middle of other programs, and
// the benchmarks compare our relay with it. It has one thread and no ops server, and ends on SIGTERM.
import { type RunOptions, type Running, startCommand } from '../../scripts/processes.ts';
import { PROGRAMS } from './programs.ts';

/**
 * `none` lifts all limits. `defaults` are those of libp2p 0.55, which the relay of `rr` 0.1 has: 128 reservations, 16
 * circuits, 2 minutes and 128 KiB per circuit, and rate limits per peer and address. `rr 1.1.1` are those of that relay:
 * 32 reservations and connections, 8 circuits, 15 minutes and 64 MiB per circuit.
 */
export const RUST_RELAY_LIMITS = ['none', 'defaults', 'rr 1.1.1'] as const;
export type RustRelayLimits = (typeof RUST_RELAY_LIMITS)[number];

const FLAGS: Readonly<Record<RustRelayLimits, readonly string[]>> = {
  none: [],
  defaults: ['--defaults'],
  'rr 1.1.1': ['--rr-limits'],
};

export interface RustRelay extends Running {
  /** Its address with its peer id. */
  readonly address: string;
}

export interface RustRelayOptions extends RunOptions {
  readonly swarmKey: string;
  /** Default: `none`. */
  readonly limits?: RustRelayLimits;
  /** The address to listen on, which is also announced. Default: a free port of 127.0.0.1. */
  readonly listen?: string;
  /** The file of its identity, which is created if it does not exist. Default: a new identity. */
  readonly identity?: string;
}

/** The program with this command. It must be built before. */
export function rustRelayProgram(): (typeof PROGRAMS)[number] {
  const program = PROGRAMS.find(({ name }) => name === 'rust-0.55');
  if (program === undefined) throw new Error('The program rust-0.55 is not declared.');
  return program;
}

/** Starts the relay, with both muxers, and waits until it listens. @throws when it ends before */
export async function startRustRelay(options: RustRelayOptions): Promise<RustRelay> {
  const { swarmKey, limits = 'none', listen, identity, ...rest } = options;
  const args = ['relay', '--key', swarmKey, '--muxer', 'both', ...FLAGS[limits]];
  if (listen !== undefined) args.push('--listen', listen);
  if (identity !== undefined) args.push('--identity', identity);
  const relay = startCommand('rust relay', rustRelayProgram().command, { ...rest, args });
  const { addresses } = await relay.waitFor('listening');
  return { ...relay, address: String((addresses as string[])[0]) };
}
