// A whole grid of real processes for the tests of the peer: one relay, one tracker, and devices that each have a
// directory of their own.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Finished, finished, type Running, startService } from '../../scripts/processes.ts';
import { openDatabase } from '../../services/peer/database.ts';
import type { Entry } from '../../services/peer/entry.ts';
import { createStore } from '../../services/peer/store.ts';
import { createSwarmKeyFile } from '../../services/swarm/key.ts';

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
  readonly relay: string;
  readonly tracker: { readonly url: string; readonly process: Running };
  device(name: string): Device;
}

/** One device: its files, and the commands that it runs. */
export interface Device {
  readonly name: string;
  readonly databasePath: string;
  /** Runs a command to its end. */
  run(...args: string[]): Promise<Finished>;
  /** Starts a command that goes on; it is stopped after the test. */
  start(...args: string[]): Running;
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
  const swarmKey = join(directory, 'swarm.key');
  createSwarmKeyFile(swarmKey);
  const relayProcess = launch('relay', [], {
    RELAY_LISTEN: '/ip4/127.0.0.1/tcp/0',
    RELAY_LOCAL: 'true',
    RELAY_OPS_LISTEN: '127.0.0.1:0',
    RELAY_SWARM_KEY_FILE: swarmKey,
    RELAY_IDENTITY_KEY_FILE: join(directory, 'relay.key'),
    ...relayEnv,
  });
  const tokensFile = join(directory, 'tokens');
  if (tokens !== undefined) writeFileSync(tokensFile, tokens);
  const trackerProcess = launch('tracker', [], {
    TRACKER_LISTEN: '127.0.0.1:0',
    TRACKER_OPS_LISTEN: '127.0.0.1:0',
    ...(tokens !== undefined && { TRACKER_TOKENS_FILE: tokensFile }),
  });
  const { addresses } = await relayProcess.waitFor('listening');
  const { address } = await trackerProcess.waitFor('listening');
  const relay = String((addresses as unknown[])[0]);
  const url = `http://${String(address)}`;
  const device = (name: string): Device => createDevice(name, directory, { relay, tracker: url, swarmKey });
  return { directory, relay, tracker: { url, process: trackerProcess }, device };
}

function createDevice(
  name: string,
  directory: string,
  grid: { readonly relay: string; readonly tracker: string; readonly swarmKey: string },
): Device {
  const home = join(directory, name);
  mkdirSync(home, { recursive: true });
  const databasePath = join(home, 'history.db');
  const env = {
    HOME: home,
    RUSTORY_USER_ID: 'ada',
    RUSTORY_DEVICE_ID: name,
    RUSTORY_DB_PATH: databasePath,
    RUSTORY_SWARM_KEY_PATH: grid.swarmKey,
    RUSTORY_RELAY_ADDR: grid.relay,
    RUSTORY_TRACKERS: grid.tracker,
    RUSTORY_LISTEN: 'none',
  };
  return {
    name,
    databasePath,
    run: async (...args) => finished(startService('peer', { args, env })),
    start: (...args) => launch('peer', args, env),
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

function launch(
  name: 'tracker' | 'relay' | 'peer',
  args: readonly string[],
  env: Record<string, string>,
): Running {
  const running = startService(name, { args, env });
  onCleanup(async () => running.stop());
  return running;
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
