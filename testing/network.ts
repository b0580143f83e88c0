// A whole grid of real processes for the tests of the peer: one relay, one tracker, and devices that each have a
// directory of their own.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  deviceEnvironment,
  type Relay,
  startRelay,
  startTracker,
  type Tracker,
} from '../scripts/local-network.ts';
import { type Finished, finished, type Running, startService } from '../scripts/processes.ts';
import { openDatabase } from '../services/peer/history/database.ts';
import type { Entry } from '../services/peer/history/entry.ts';
import { createStore } from '../services/peer/history/store.ts';

const cleanups: Array<() => Promise<unknown> | void> = [];

/** Stops and removes all that a test started; for `afterEach`. */
export async function cleanUp(): Promise<void> {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
}

export function onCleanup(cleanup: () => Promise<unknown> | void): void {
  cleanups.push(cleanup);
}

export interface Grid {
  readonly directory: string;
  readonly relay: Relay;
  readonly tracker: Tracker;
  /** Makes a device; the variables are added to what points it to this grid. */
  device(name: string, env?: Record<string, string>): Device;
}

/** One device: its files, and the commands that it runs. */
export interface Device {
  readonly name: string;
  readonly databasePath: string;
  readonly env: Readonly<Record<string, string>>;
  /** Runs a command to its end. */
  run(...args: string[]): Promise<Finished>;
  /** Starts a command that goes on; it is stopped after the test. */
  start(...args: string[]): Running;
  /** Starts `serve` and resolves when others can reach it through the relay. */
  serve(): Promise<Running>;
  /** Puts entries into the database, as a shell would. */
  insert(entries: readonly Entry[]): void;
  /** All entries, ordered by id. */
  entries(): Entry[];
}

export interface GridOptions {
  /** Lines of the tracker's file of tokens, `tokens` in the grid's directory; without, it asks for none. */
  readonly tokens?: string;
}

/** Starts a relay and a tracker on free ports of this machine. */
export async function startGrid(
  relayEnv: Record<string, string> = {},
  { tokens }: GridOptions = {},
): Promise<Grid> {
  const directory = mkdtempSync(join(tmpdir(), 'rustory-grid-'));
  onCleanup(() => rmSync(directory, { recursive: true, force: true }));
  const relay = await startRelay(directory, { env: relayEnv });
  onCleanup(async () => relay.stop());
  const tokensFile = join(directory, 'tokens');
  if (tokens !== undefined) writeFileSync(tokensFile, tokens);
  const tracker = await startTracker(
    tokens === undefined ? {} : { env: { TRACKER_TOKENS_FILE: tokensFile } },
  );
  onCleanup(async () => tracker.stop());
  return {
    directory,
    relay,
    tracker,
    device: (name, env = {}) =>
      createDevice(name, {
        ...deviceEnvironment(directory, name, { relay, tracker }),
        RUSTORY_LISTEN: 'none',
        ...env,
      }),
  };
}

/** A device with that environment. */
export function createDevice(name: string, env: Record<string, string>): Device {
  const databasePath = env['RUSTORY_DB_PATH'] ?? '';
  const start = (...args: string[]): Running => {
    const running = startService('peer', { args, env });
    onCleanup(async () => running.stop());
    return running;
  };
  return {
    name,
    databasePath,
    env,
    run: async (...args) => finished(startService('peer', { args, env })),
    start,
    async serve() {
      const serving = start('serve');
      await serving.waitFor('registered', ({ addrs }) => JSON.stringify(addrs).includes('p2p-circuit'));
      return serving;
    },
    insert(entries) {
      const database = openDatabase(databasePath);
      createStore(database).insert(entries);
      database.close();
    },
    entries() {
      const database = openDatabase(databasePath);
      const entries: Entry[] = [];
      createStore(database).readAfter(0, Number.MAX_SAFE_INTEGER, ({ entry }) => entries.push(entry) > 0);
      database.close();
      return entries.toSorted((a, b) => (a.entry_id < b.entry_id ? -1 : 1));
    },
  };
}

/** Entries as a shell would have made them, with ids that no other device makes. */
export function makeEntries(device: string, count: number, from = 0): Entry[] {
  return Array.from({ length: count }, (_, position) => ({
    entry_id: `${device}-${String(from + position).padStart(7, '0')}`,
    device_id: device,
    user_id: 'ada',
    ts: 1_700_000_000 + from + position,
    cmd: `git commit -m "change ${from + position}" && make -j4 test | tee /tmp/log.${position % 97}`,
    cwd: `/home/ada/projects/p${position % 13}`,
    exit_code: position % 5 === 0 ? 1 : 0,
    duration_ms: position * 7,
    shell: 'zsh',
    hostname: `${device}.lan`,
    version: '0.1.0',
  }));
}
