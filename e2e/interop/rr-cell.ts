// One cell of the table of `rr`: devices of one user, and everything that must be stopped after it.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  deviceEnvironment,
  type Relay,
  startRelay,
  startTracker,
  type Tracker,
} from '../../scripts/local-network.ts';
import type { Running } from '../../scripts/processes.ts';
import type { Entry } from '../../services/peer/history/entry.ts';
import { createDevice, type Device, makeEntries } from '../../testing/network.ts';
import type { Network } from './cell.ts';
import { createRrDevice, type RrDevice } from './rr-device.ts';
import { RR_PROGRAMS, type RrProgram } from './rr-programs.ts';
import { createSilentNetwork, type SilentNetwork } from './silent-network.ts';

/** Time limit for a condition that depends on the retries of `rr`, in milliseconds. */
export const RETRY_TIMEOUT_MS = 150_000;

/** Pause between two rounds of a device that tries again, in milliseconds. */
const ROUND_PAUSE_MS = 1_000;

/** The relay and the tracker of a device, and where it runs. */
export interface Place {
  readonly relay?: Pick<Relay, 'address'>;
  readonly tracker?: Pick<Tracker, 'url'>;
  readonly under?: readonly string[];
  readonly options?: readonly string[];
  readonly program?: RrProgram;
}

export interface RrCell {
  readonly program: RrProgram;
  readonly isGen1: boolean;
  readonly network: Network;
  readonly user: string;
  startRelay(env?: Record<string, string>, folder?: string): Promise<Relay>;
  startTracker(env?: Record<string, string>): Promise<Tracker>;
  folder(): string;
  /** A device of the row's program. */
  device(name: string, place?: Place): Promise<RrDevice>;
  /** A device of 1.x with a muxer that the row's program has: it reaches others only through circuits. */
  asker(place?: Place): Promise<RrDevice>;
  /** A device with our peer. */
  ours(name: string, env?: Record<string, string>): Device;
  /** Entries of a device of this cell. */
  entries(device: string, count: number): Entry[];
  silentNetwork(): SilentNetwork;
  /** Kills the process at the end of the cell. */
  track<T extends Running>(process: T): T;
  /** A figure for the terminal. */
  note(text: string): void;
  notes(): string[];
  stop(): Promise<void>;
}

let cells = 0;

export function createRrCell(network: Network, program: RrProgram): RrCell {
  const running: Running[] = [];
  const silent: SilentNetwork[] = [];
  const notes: string[] = [];
  cells += 1;
  const user = `user-${cells}`;
  const isGen1 = program.generation === '1.x';

  function track<T extends Running>(process: T): T {
    running.push(process);
    return process;
  }

  const cell: RrCell = {
    program,
    isGen1,
    network,
    user,
    async startRelay(env = {}, folder = cell.folder()) {
      return track(await startRelay(folder, { env: { RELAY_SWARM_KEY_FILE: network.swarmKey, ...env } }));
    },
    startTracker: async (env = {}) =>
      track(await startTracker({ env: { TRACKER_ALLOW_UNAUTHENTICATED: 'true', ...env } })),
    folder: () => mkdtempSync(join(network.folder, 'rr-')),
    async device(name, place = {}) {
      return createRrDevice(place.program ?? program, {
        folder: cell.folder(),
        name,
        user,
        relay: (place.relay ?? network.relay).address,
        tracker: (place.tracker ?? network.tracker).url,
        swarmKey: network.swarmKey,
        options: place.options ?? [],
        under: place.under ?? [],
        onStart: track,
      });
    },
    async asker(place = {}) {
      const asking = isGen1 ? program : RR_PROGRAMS.find(({ version }) => version === '1.1.1');
      assert.ok(asking);
      return cell.device('asker', { ...place, program: asking });
    },
    ours(name, env = {}) {
      const folder = cell.folder();
      copyFileSync(network.swarmKey, join(folder, 'swarm.key'));
      return createDevice(name, {
        ...deviceEnvironment(folder, name, network),
        RUSTORY_USER_ID: user,
        RUSTORY_LISTEN: 'none',
        // The requesters of 0.1 have random identities.
        ...(isGen1 ? {} : { RUSTORY_SERVE_TO: 'anyone' }),
        ...env,
      });
    },
    entries: (device, count) =>
      makeEntries(device, count).map((entry) =>
        Object.assign(entry, { user_id: user, entry_id: `${user}-${entry.entry_id}` }),
      ),
    silentNetwork() {
      const created = createSilentNetwork();
      silent.push(created);
      return created;
    },
    track,
    note: (text) => void notes.push(text),
    notes: () => notes,
    async stop() {
      for (const process of running.splice(0)) {
        process.kill('SIGKILL');
        await process.exited;
      }
      for (const created of silent.splice(0)) created.remove();
    },
  };
  return cell;
}

/** One round of a device. Returns the duration of its sync with the target in milliseconds. @throws if it failed */
export async function syncOnce(
  from: RrDevice,
  target: RrDevice,
  ...args: readonly string[]
): Promise<number> {
  const { lines, stderr } = await from.run('p2p-sync', ...args);
  const found = lines.find(({ msg, peer }) => msg.startsWith('sync') && peer === target.peerId);
  assert.ok(found, `${from.name} did not sync with ${target.name}: ${JSON.stringify(lines)} ${stderr}`);
  assert.equal(found.msg, 'synced', JSON.stringify(lines));
  return Number(found['duration_ms']);
}

/** Rounds of a device until it synced with the target. Returns the time that this took in milliseconds. */
export async function syncEventually(from: RrDevice, target: RrDevice): Promise<number> {
  const startMs = performance.now();
  for (;;) {
    try {
      await syncOnce(from, target);
      return performance.now() - startMs;
    } catch (error) {
      if (performance.now() - startMs > RETRY_TIMEOUT_MS) throw error;
    }
    await sleep(ROUND_PAUSE_MS);
  }
}
