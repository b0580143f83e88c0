// A network of real processes for tests of the peer: one relay, one tracker, and devices with their own files.
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
import { onCleanup } from './cleanup.ts';

export interface TestNetwork {
  readonly directory: string;
  readonly relay: Relay;
  readonly tracker: Tracker;
  /** Creates a device of the network; the variables override its environment. */
  device(name: string, env?: Record<string, string>): Device;
}

/** A device: its files and its commands. */
export interface Device {
  readonly name: string;
  readonly databasePath: string;
  readonly env: Readonly<Record<string, string>>;
  /** Runs a command to its end. */
  run(...args: string[]): Promise<Finished>;
  /** Starts a command. It is stopped after the test. */
  start(...args: string[]): Running;
  /** Starts `serve` and resolves when the device is registered with a circuit address. */
  serve(): Promise<Running>;
  /** Stores entries in the database. */
  insert(entries: readonly Entry[], nowUnixMs?: () => number): void;
  /** All entries, ordered by id. */
  entries(): Entry[];
}

export interface NetworkOptions {
  /** Variables of the relay. */
  readonly relayEnv?: Record<string, string>;
  /** Content of the tracker's token file, `tokens` in the directory. Default: the tracker requires no token. */
  readonly tokens?: string;
}

/** Starts a relay and a tracker on free loopback ports. They are stopped after the test. */
export async function startNetwork({ relayEnv = {}, tokens }: NetworkOptions = {}): Promise<TestNetwork> {
  const directory = makeTestDirectory();
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

/** Creates a directory that is removed after the test. */
export function makeTestDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'rustory-network-'));
  onCleanup(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A device with this environment. */
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
    insert(entries, nowUnixMs) {
      const database = openDatabase(databasePath, nowUnixMs);
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

/** Entries with ids that no other device creates. */
export function makeEntries(device: string, count: number, first = 0): Entry[] {
  return Array.from({ length: count }, (_, index) => {
    const position = first + index;
    return {
      entry_id: `${device}-${String(position).padStart(7, '0')}`,
      device_id: device,
      user_id: 'ada',
      ts: 1_700_000_000 + position,
      cmd: `git commit -m "change ${position}" && make -j4 test | tee /tmp/log.${position % 97}`,
      cwd: `/home/ada/projects/p${position % 13}`,
      exit_code: position % 5 === 0 ? 1 : 0,
      duration_ms: position * 7,
      shell: 'zsh',
      hostname: `${device}.lan`,
      version: '0.1.0',
    };
  });
}
