// A hub of a cell of `rr`, and devices that are on for one round at a time.
import assert from 'node:assert/strict';
import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { deviceEnvironment, type Relay, type Tracker } from '../../scripts/local-network.ts';
import {
  type Finished,
  finished,
  type LogLine,
  type Running,
  startService,
} from '../../scripts/processes.ts';
import type { Place, RrCell } from './rr-cell.ts';
import type { RrDevice } from './rr-device.ts';
import type { RrProgram } from './rr-programs.ts';

export interface RrHub {
  /** The peer id of the process that ran last. */
  readonly peerId: string;
  readonly databasePath: string;
  readonly running: Running;
  /** Starts the process, and resolves when it is registered. */
  start(env?: Record<string, string>): Promise<void>;
  /** Ends the process with SIGKILL. */
  kill(): Promise<void>;
  stop(): Promise<void>;
  /** Runs another command of the peer with its settings. @throws if it fails */
  run(...args: readonly string[]): Promise<Finished>;
  /** Deletes its database, as if its volume were lost. */
  lose(): void;
  /** The ids of its entries, sorted. */
  entryIds(): string[];
}

export interface HubPlace {
  readonly relay?: Pick<Relay, 'address'>;
  readonly tracker?: Pick<Tracker, 'url'>;
  readonly under?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts a hub of the cell's user. */
export async function startHub(cell: RrCell, place: HubPlace = {}): Promise<RrHub> {
  const folder = cell.folder();
  const { tracker, relay } = { ...cell.network, ...place };
  copyFileSync(cell.network.swarmKey, join(folder, 'swarm.key'));
  const secret = join(folder, 'hub.secret');
  writeFileSync(secret, 'a secret of a hub in a test, 32 bytes at least\n', { mode: 0o600 });
  const databasePath = join(folder, 'hub.db');
  const { RUSTORY_P2P_IDENTITY_KEY_PATH: _, ...common } = deviceEnvironment(folder, 'hub', {
    tracker,
    relay,
  });
  const env = {
    ...common,
    RUSTORY_USER_ID: cell.user,
    RUSTORY_HUB_SECRET_PATH: secret,
    RUSTORY_LISTEN: '/ip4/127.0.0.1/tcp/0',
    RUSTORY_OPS_HOST: '127.0.0.1',
    RUSTORY_OPS_PORT: '0',
    RUSTORY_MIN_FREE_BYTES: '0',
    ...place.env,
  };
  const under = place.under ?? [];
  let running: Running | undefined;
  const current = (): Running => {
    assert.ok(running);
    return running;
  };
  const hub: RrHub = {
    get peerId() {
      return String(current().logged('node started')[0]?.['peerId']);
    },
    databasePath,
    get running() {
      return current();
    },
    async start(changes = {}) {
      running = cell.track(startService('peer', { args: ['hub'], env: { ...env, ...changes }, under }));
      await running.waitFor('registered', ({ addrs }) => (addrs as string[]).length > 0);
    },
    async kill() {
      current().kill('SIGKILL');
      await current().exited;
      // Otherwise others dial it until its registration expires, and their rounds end with exit code 1.
      await unregister(tracker, hub.peerId);
    },
    stop: async () => void (await current().stop()),
    async run(...args) {
      const result = await finished(startService('peer', { args, env, under }));
      assert.equal(result.code, 0, `${args.join(' ')}: ${result.stdout}${result.stderr}`);
      return result;
    },
    lose() {
      for (const suffix of ['', '-wal', '-shm']) rmSync(`${databasePath}${suffix}`, { force: true });
    },
    entryIds: () => idsOf(databasePath),
  };
  await hub.start();
  return hub;
}

/** A device that is on only during `turn`. */
export interface Laptop extends RrDevice {
  /**
   * Switches it on, runs `p2p-sync --push` once, and switches it off. Returns the lines of the round. 1.x runs `p2p-serve`
   * beside it and is a member by that; 0.1 never registers. @throws if the round ends with another exit code than 0
   */
  turn(): Promise<LogLine[]>;
}

export async function createLaptop(cell: RrCell, name: string, place: Place = {}): Promise<Laptop> {
  const program: RrProgram = place.program ?? cell.program;
  const device = await cell.device(name, place);
  const tracker = place.tracker ?? cell.network.tracker;
  return {
    ...device,
    async turn() {
      const serving = program.generation === '1.x' ? await device.reachable() : undefined;
      const { lines, code, stderr } = await device.run('p2p-sync', '--push');
      assert.equal(code, 0, `The round of ${name} failed: ${JSON.stringify(lines)} ${stderr}`);
      await serving?.stop();
      // Its registration expires.
      await unregister(tracker, device.peerId);
      return lines;
    },
  };
}

/** Registers a device that cannot be dialed, so that it is a member and only its own rounds move anything. */
export async function register({ url }: Pick<Tracker, 'url'>, device: RrDevice): Promise<void> {
  const meta = { device_id: device.name, user_id: device.user, hostname: null, version: '1.1.1' };
  await post(`${url}/api/v1/peers/register`, { peer_id: device.peerId, addrs: [], meta });
}

async function unregister({ url }: Pick<Tracker, 'url'>, peerId: string): Promise<void> {
  await post(`${url}/api/v1/peers/unregister`, { peer_id: peerId });
}

async function post(url: string, body: object): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  assert.equal(response.status, 200, await response.text());
}

function idsOf(databasePath: string): string[] {
  const database = new DatabaseSync(databasePath, { readOnly: true, timeout: 5_000 });
  const rows = database.prepare('SELECT entry_id FROM entries ORDER BY entry_id').all();
  database.close();
  return rows.map(({ entry_id: id }) => String(id));
}
