// One cell of the matrix: runs a program with a muxer against our services, and stops every process that it started.
import { copyFileSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Finished,
  finished,
  type LogLine,
  type Running,
  startCommand,
} from '../../scripts/processes.ts';
import { deviceEnvironment, type Relay, startRelay, type Tracker } from '../../scripts/local-network.ts';
import type { Entry } from '../../services/peer/history/entry.ts';
import { withinDeadline } from '../../services/shared/signals.ts';
import { metric } from '../../testing/load-devices.ts';
import { createDevice, type Device, makeEntries } from '../../testing/network.ts';
import type { Muxer, Program } from './programs.ts';
import { type RustRelay, startRustRelay } from './rust-relay.ts';

/** Timeout of one step of a scenario, in milliseconds; sufficient for 256 MiB on a busy machine. */
export const STEP_TIMEOUT_MS = 120_000;

/** The private network that all cells share. */
export interface Network {
  /** A temporary folder for the files of all cells. */
  readonly folder: string;
  /** The path of the swarm key. */
  readonly swarmKey: string;
  readonly tracker: Tracker;
  /** A relay with a limit of 1 GiB for each circuit. */
  readonly relay: Relay;
}

export interface Serving extends Running {
  readonly peerId: string;
  /** The log line of its first reservation. */
  readonly reserved: LogLine;
}

export interface Cell {
  readonly program: Program;
  readonly muxer: Muxer;
  readonly network: Network;
  /** Starts a command of the program with a relay. `variant` replaces the program, the muxer or the swarm key. */
  start(relay: Pick<Relay, 'address'>, args: readonly string[], variant?: Variant): Running;
  /** Runs a command until it exits. */
  run(
    relay: Pick<Relay, 'address'>,
    args: readonly string[],
    variant?: Variant,
  ): Promise<Finished & { lines: LogLine[] }>;
  /** Starts `serve` and waits for its reservation. */
  serve(relay: Pick<Relay, 'address'>, args?: readonly string[], variant?: Variant): Promise<Serving>;
  /** Starts a separate relay with the swarm key of the network. */
  startRelay(env?: Record<string, string>, folder?: string): Promise<Relay>;
  /** Starts the relay of rust-libp2p with the swarm key of the network. */
  startRustRelay(): Promise<RustRelay>;
  /** Makes a temporary folder. */
  folder(): string;
  /** Makes a device with our peer. */
  device(relay: Pick<Relay, 'address'>): Device;
  /** Writes entries to a file and returns the options of `serve` with its path. */
  entriesFile(entries: readonly Entry[]): string[];
  /** Records a known defect of the program. The cell can still pass. */
  addDefect(name: string): void;
  defects(): string[];
  /** Kills all processes of the cell. */
  stop(): Promise<void>;
}

export interface Variant {
  readonly program?: Program;
  readonly muxer?: Muxer;
  readonly swarmKey?: string;
}

export function createCell(network: Network, program: Program, muxer: Muxer): Cell {
  const running: Running[] = [];
  const defects = new Set<string>();
  let deviceCount = 0;

  function track<T extends Running>(process: T): T {
    running.push(process);
    return process;
  }

  function start(relay: Pick<Relay, 'address'>, args: readonly string[], variant: Variant = {}): Running {
    const { name, command } = variant.program ?? program;
    const shared = ['--relay', relay.address, '--muxer', variant.muxer ?? muxer];
    const key = ['--key', variant.swarmKey ?? network.swarmKey];
    return track(startCommand(name, command, { args: [...args, ...shared, ...key], hasInput: true }));
  }

  const cell: Cell = {
    program,
    muxer,
    network,
    start,
    async run(relay, args, variant) {
      const process = start(relay, args, variant);
      const result = await withinDeadline(
        STEP_TIMEOUT_MS,
        finished(process),
        `${process.name} ${args[0]} did not exit within ${STEP_TIMEOUT_MS} ms.`,
      );
      const lines = `${result.stdout}\n${result.stderr}`.split('\n').filter((line) => line.startsWith('{"'));
      return { ...result, lines: lines.map((line) => JSON.parse(line) as LogLine) };
    },
    async serve(relay, args = [], variant) {
      const process = start(relay, ['serve', ...args], variant);
      const { peer_id } = await process.waitFor('started');
      const reserved = await process.waitFor('reserved');
      return { ...process, peerId: String(peer_id), reserved };
    },
    async startRelay(env = {}, folder = cell.folder()) {
      return track(await startRelay(folder, { env: { RELAY_SWARM_KEY_FILE: network.swarmKey, ...env } }));
    },
    startRustRelay: async () => track(await startRustRelay({ swarmKey: network.swarmKey })),
    folder: () => mkdtempSync(join(network.folder, 'cell-')),
    device(relay) {
      const folder = cell.folder();
      copyFileSync(network.swarmKey, join(folder, 'swarm.key'));
      deviceCount += 1;
      const name = `ours-${deviceCount}`;
      const environment = deviceEnvironment(folder, name, { relay, tracker: network.tracker });
      // The requesters of the matrix do not register.
      return createDevice(name, { ...environment, RUSTORY_LISTEN: 'none', RUSTORY_SERVE_TO: 'anyone' });
    },
    entriesFile(entries) {
      const path = join(cell.folder(), 'entries.json');
      writeFileSync(path, JSON.stringify(entries));
      return ['--entries', path];
    },
    addDefect: (name) => void defects.add(name),
    defects: () => [...defects],
    async stop() {
      // A clean stop is not required here: the scenarios that test one stop their processes.
      for (const process of running.splice(0)) {
        process.kill('SIGKILL');
        await process.exited;
      }
    },
  };
  return cell;
}

/** Entries for the limits of the encoding: other scripts, leap days, the last second of a year, extreme numbers. */
export function trickyEntries(device: string): Entry[] {
  const changes: Array<Partial<Entry>> = [
    { ts: 0 },
    { ts: 951_782_400, cmd: 'printf "äöü 漢字 🦀\\t%s\\n" "$HOME" # \u0001', exit_code: -2_147_483_648 },
    { ts: 1_709_164_799, cmd: '', cwd: '', duration_ms: 9_007_199_254_740_991, exit_code: 2_147_483_647 },
    { ts: 1_735_689_599 },
    { ts: 4_102_444_800 },
  ];
  return makeEntries(device, 50).map((entry, index) => Object.assign(entry, changes[index]));
}

/** The value of one series of a relay. */
export async function relayMetric(relay: Relay, series: string): Promise<number> {
  return metric(relay, `rustory_relay_${series}`);
}
