// A device of the stand-in for `rr`: its files and its commands.
//
//   rr daemon|p2p-serve|p2p-sync [--watch] [--push] [--interval-sec N] [--aligned] [--service-manager] SETTINGS
//   rr peer-id|record --entries FILE|delete --entry-id ID|entries SETTINGS
//
// SETTINGS: --db, --identity, --key, --relay, --tracker, --user, --device, --muxer, and if needed --token, --rr-version,
// --clock SECONDS (the error of its wall clock), --extra-addresses COUNT, --protocol 1.0.0 (only JSON), and for the bench of
// pushes --lan (private addresses count as public), --push-limit N (entries of one push), --peer-sec N (time limit of
// everything with one peer) and --synchronous (of its database). It prints one JSON object per line; `msg` is
// started, reserved, reachable, lost, registered, circuit, served, refused, ended, daemon ended, synced, sync failed,
// dial failed, no answer, round, entry or deletion.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Finished,
  finished,
  type LogLine,
  type Running,
  startCommand,
} from '../../scripts/processes.ts';
import type { Entry } from '../../services/peer/history/entry.ts';
import { rrBinary, type RrProgram } from './rr-programs.ts';

export interface RrSettings {
  /** The folder for its files. */
  readonly folder: string;
  readonly name: string;
  readonly user: string;
  readonly relay: string;
  readonly tracker: string;
  readonly swarmKey: string;
  /** Further options of every command. */
  readonly options?: readonly string[];
  /** The prefix of every command, such as `ip netns exec NAME`. */
  readonly under?: readonly string[];
  /** Called for each process that starts. */
  readonly onStart: (running: Running) => void;
}

export interface RrDevice {
  readonly name: string;
  readonly user: string;
  readonly databasePath: string;
  readonly peerId: string;
  start(command: string, ...args: readonly string[]): Running;
  /** Runs a command to its end. */
  run(command: string, ...args: readonly string[]): Promise<Finished & { readonly lines: LogLine[] }>;
  /** Starts `p2p-serve` or `daemon` and waits until the device is registered with a circuit. */
  reachable(command?: 'p2p-serve' | 'daemon', ...args: readonly string[]): Promise<Running>;
  record(entries: readonly Entry[]): Promise<void>;
  /** The ids of its entries, sorted. */
  entryIds(): Promise<string[]>;
  /** The ids of its deletions, sorted. */
  deletedIds(): Promise<string[]>;
}

export async function createRrDevice(program: RrProgram, settings: RrSettings): Promise<RrDevice> {
  const { folder, name, user } = settings;
  const databasePath = join(folder, `${name}.db`);
  const shared = Object.entries({
    '--db': databasePath,
    '--identity': join(folder, `${name}.key`),
    '--key': settings.swarmKey,
    '--relay': settings.relay,
    '--tracker': settings.tracker,
    '--user': user,
    '--device': name,
    '--muxer': program.muxer,
    '--rr-version': program.version,
  }).flat();
  const start: RrDevice['start'] = (command, ...args) => {
    const running = startCommand(name, [rrBinary(program.generation)], {
      args: [command, ...shared, ...(settings.options ?? []), ...args],
      under: settings.under ?? [],
    });
    settings.onStart(running);
    return running;
  };
  const run: RrDevice['run'] = async (command, ...args) => {
    const result = await finished(start(command, ...args));
    const lines = result.stdout.split('\n').filter((line) => line !== '');
    return { ...result, lines: lines.map((line) => JSON.parse(line) as LogLine) };
  };
  const idsOf = async (kind: 'entry' | 'deletion'): Promise<string[]> => {
    const { lines } = await run('entries');
    const rows = lines.filter(({ msg }) => msg === kind).map((line) => line[kind] as { entry_id: string });
    return rows.map(({ entry_id }) => entry_id).toSorted();
  };
  const { lines, stderr } = await run('peer-id');
  assert.ok(lines[0], stderr);
  return {
    name,
    user,
    databasePath,
    peerId: String(lines[0]['peer_id']),
    start,
    run,
    async reachable(command = 'p2p-serve', ...args) {
      const running = start(command, ...args);
      await running.waitFor('registered', ({ circuits }) => circuits === 1);
      return running;
    },
    async record(entries) {
      const path = join(folder, `${name}-entries.json`);
      writeFileSync(path, JSON.stringify(entries));
      const { code, stderr: reason } = await run('record', '--entries', path);
      assert.equal(code, 0, reason);
    },
    entryIds: async () => idsOf('entry'),
    deletedIds: async () => idsOf('deletion'),
  };
}
