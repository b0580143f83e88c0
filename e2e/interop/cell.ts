// One cell of the matrix at work: a program with a muxer, what it needs of our services, and an end to all it started.
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
import { metric } from '../../testing/load-devices.ts';
import { createDevice, type Device, makeEntries } from '../../testing/network.ts';
import type { Muxer, Program } from './programs.ts';

/** What one step of a scenario may take, in milliseconds: 256 MiB on a machine that does other things too. */
export const PATIENCE_MS = 120_000;

/** What all cells share. */
export interface Grid {
  readonly folder: string;
  readonly swarmKey: string;
  readonly tracker: Tracker;
  /** A relay whose circuits may carry 1 GiB. */
  readonly relay: Relay;
}

export interface Serving extends Running {
  readonly peerId: string;
  /** How its first reservation was granted. */
  readonly reserved: LogLine;
}

export interface Cell {
  readonly program: Program;
  readonly muxer: Muxer;
  readonly grid: Grid;
  /** Starts a command of the program at a relay; of another program or muxer where that is said. */
  start(relay: Pick<Relay, 'address'>, args: readonly string[], by?: By): Running;
  /** Runs a command to its end. */
  run(
    relay: Pick<Relay, 'address'>,
    args: readonly string[],
    by?: By,
  ): Promise<Finished & { lines: LogLine[] }>;
  /** Starts `serve` and waits for its reservation. */
  serve(relay: Pick<Relay, 'address'>, args?: readonly string[], by?: By): Promise<Serving>;
  /** Starts a relay of the cell's own, with the swarm key of the grid. */
  startRelay(env?: Record<string, string>, folder?: string): Promise<Relay>;
  /** A folder that is gone after the run. */
  folder(): string;
  /** Our own peer. */
  device(relay: Pick<Relay, 'address'>): Device;
  /** Writes entries for `serve`, and answers the options that name them. */
  entriesFile(entries: readonly Entry[]): string[];
  /** Marks the cell: it passed, but for a known fault of the program. */
  note(what: string): void;
  notes(): string[];
  end(): Promise<void>;
}

export interface By {
  readonly program?: Program;
  readonly muxer?: Muxer;
  readonly swarmKey?: string;
}

export function createCell(grid: Grid, program: Program, muxer: Muxer): Cell {
  const running: Running[] = [];
  const notes = new Set<string>();
  let devices = 0;

  function keep<T extends Running>(process: T): T {
    running.push(process);
    return process;
  }

  function start(relay: Pick<Relay, 'address'>, args: readonly string[], by: By = {}): Running {
    const { name, command } = by.program ?? program;
    const shared = ['--relay', relay.address, '--muxer', by.muxer ?? muxer];
    const key = ['--key', by.swarmKey ?? grid.swarmKey];
    return keep(startCommand(name, command, { args: [...args, ...shared, ...key], hasInput: true }));
  }

  const cell: Cell = {
    program,
    muxer,
    grid,
    start,
    async run(relay, args, by) {
      const process = start(relay, args, by);
      const result = await within(finished(process), `${process.name} ${args[0]} has ended`);
      const lines = `${result.stdout}\n${result.stderr}`.split('\n').filter((line) => line.startsWith('{"'));
      return { ...result, lines: lines.map((line) => JSON.parse(line) as LogLine) };
    },
    async serve(relay, args = [], by) {
      const process = start(relay, ['serve', ...args], by);
      const { peer_id } = await process.waitFor('started');
      const reserved = await process.waitFor('reserved');
      return { ...process, peerId: String(peer_id), reserved };
    },
    async startRelay(env = {}, folder = cell.folder()) {
      return keep(await startRelay(folder, { env: { RELAY_SWARM_KEY_FILE: grid.swarmKey, ...env } }));
    },
    folder: () => mkdtempSync(join(grid.folder, 'cell-')),
    device(relay) {
      const folder = cell.folder();
      copyFileSync(grid.swarmKey, join(folder, 'swarm.key'));
      devices += 1;
      const name = `ours-${devices}`;
      const environment = deviceEnvironment(folder, name, { relay, tracker: grid.tracker });
      return createDevice(name, { ...environment, RUSTORY_LISTEN: 'none' });
    },
    entriesFile(entries) {
      const path = join(cell.folder(), 'entries.json');
      writeFileSync(path, JSON.stringify(entries));
      return ['--entries', path];
    },
    note: (what) => void notes.add(what),
    notes: () => [...notes],
    async end() {
      // Programs of others owe us no clean end, and relays have been stopped where that matters.
      for (const process of running.splice(0)) {
        process.kill('SIGKILL');
        await process.exited;
      }
    },
  };
  return cell;
}

/** Entries that try the encoding: other alphabets, leap days, the year's last second, negative and large numbers. */
export function trickyEntries(device: string): Entry[] {
  const changes: Array<Partial<Entry>> = [
    { ts: 0 },
    { ts: 951_782_400, cmd: 'printf "äöü 漢字 🦀\\t%s\\n" "$HOME" # \u0001', exit_code: -2_147_483_648 },
    { ts: 1_709_164_799, cmd: '', cwd: '', duration_ms: 9_007_199_254_740_991, exit_code: 2_147_483_647 },
    { ts: 1_735_689_599 },
    { ts: 4_102_444_800 },
  ];
  return makeEntries(device, 50).map((entry, at) => Object.assign(entry, changes[at]));
}

/** The value of one series of a relay. */
export async function relayMetric(relay: Relay, series: string): Promise<number> {
  return metric(relay, `rustory_relay_${series}`);
}

/** @throws when it takes longer than `PATIENCE_MS`, naming what was waited for. */
export async function within<T>(work: Promise<T>, what: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`waited ${PATIENCE_MS} ms in vain until ${what}`)),
    PATIENCE_MS,
  );
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
