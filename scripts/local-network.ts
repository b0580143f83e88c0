// A private network on loopback: tracker and relay as processes, and the environments of devices and hubs.
import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createSwarmKeyFile } from '../services/private-network/key.ts';
import { type RunOptions, type Running, startService } from './processes.ts';

/** One line of `sync --json`. */
export interface SyncResult {
  readonly peer_id: string;
  readonly address: string;
  readonly entries: number;
  readonly duplicates: number;
  readonly bytes: number;
  readonly duration_ms: number;
  readonly error?: string;
}

export interface Tracker extends Running {
  readonly url: string;
}

export interface Relay extends Running {
  readonly address: string;
  /** `host:port` of the ops server. */
  readonly ops: string;
}

/** Starts a tracker with the memory registry on a free port. */
export async function startTracker(options: RunOptions = {}): Promise<Tracker> {
  const tracker = startService('tracker', {
    ...options,
    env: { TRACKER_LISTEN: '127.0.0.1:0', TRACKER_OPS_LISTEN: '127.0.0.1:0', ...options.env },
  });
  const { address } = await tracker.waitFor('listening');
  return { ...tracker, url: `http://${String(address)}` };
}

/** Starts a relay on a free port, with keys in the folder. Creates keys that do not exist. */
export async function startRelay(folder: string, options: RunOptions = {}): Promise<Relay> {
  const swarmKey = join(folder, 'swarm.key');
  if (!existsSync(swarmKey)) createSwarmKeyFile(swarmKey);
  const relay = startService('relay', {
    ...options,
    env: {
      RELAY_LISTEN: '/ip4/127.0.0.1/tcp/0',
      RELAY_LOCAL: 'true',
      RELAY_OPS_LISTEN: '127.0.0.1:0',
      RELAY_SWARM_KEY_FILE: swarmKey,
      RELAY_IDENTITY_KEY_FILE: join(folder, 'relay.key'),
      ...options.env,
    },
  });
  const [{ addresses }, { address }] = await Promise.all([
    relay.waitFor('listening'),
    relay.waitFor('ops listening'),
  ]);
  return { ...relay, address: String((addresses as string[])[0]), ops: String(address) };
}

/** The environment of a device of the user `demo`, with its database and identity in the folder. */
export function deviceEnvironment(
  folder: string,
  device: string,
  network: { tracker: Pick<Tracker, 'url'>; relay: Pick<Relay, 'address'> },
): Record<string, string> {
  return {
    HOME: join(folder, device),
    RUSTORY_CONFIG: join(folder, device, 'config.toml'),
    RUSTORY_DB_PATH: join(folder, `${device}.db`),
    RUSTORY_USER_ID: 'demo',
    RUSTORY_DEVICE_ID: device,
    RUSTORY_TRACKERS: network.tracker.url,
    RUSTORY_RELAY_ADDR: network.relay.address,
    RUSTORY_SWARM_KEY_PATH: join(folder, 'swarm.key'),
    RUSTORY_P2P_IDENTITY_KEY_PATH: join(folder, `${device}.key`),
  };
}

/** Creates the secret of a hub in the folder if there is no such file. Returns its path. */
export function createHubSecret(folder: string): string {
  const path = join(folder, 'hub.secret');
  if (!existsSync(path)) writeFileSync(path, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
  return path;
}

/** The environment of a hub of the user `demo`, with its database and its secret in the folder. */
export function hubEnvironment(
  folder: string,
  network: { tracker: Pick<Tracker, 'url'>; relay: Pick<Relay, 'address'> },
): Record<string, string> {
  // Its identity is derived from the secret, so it has no file for it.
  const { RUSTORY_P2P_IDENTITY_KEY_PATH: _, ...device } = deviceEnvironment(folder, 'hub', network);
  return {
    ...device,
    RUSTORY_HUB_SECRET_PATH: createHubSecret(folder),
    RUSTORY_LISTEN: '/ip4/127.0.0.1/tcp/0',
    RUSTORY_OPS_HOST: '127.0.0.1',
    RUSTORY_OPS_PORT: '0',
  };
}

/** Parses the output of a command that prints one JSON object per line. */
export function parseLines<T>(text: string): T[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}

/**
 * Compares two databases: entries of the first that the second lacks (`missing`), entries that only the second has
 * (`surplus`), and all entries of the second (`rows`).
 */
export function difference(a: string, b: string): { missing: number; surplus: number; rows: number } {
  const columns =
    'entry_id, device_id, user_id, ts, cmd, cwd, exit_code, duration_ms, shell, hostname, version';
  const database = new DatabaseSync(a, { readOnly: true, timeout: 5_000 });
  try {
    database.prepare('ATTACH ? AS other').run(b);
    const count = (sql: string): number =>
      Number(database.prepare(`SELECT count(*) AS n FROM (${sql})`).get()?.['n']);
    return {
      missing: count(`SELECT ${columns} FROM main.entries EXCEPT SELECT ${columns} FROM other.entries`),
      surplus: count(`SELECT ${columns} FROM other.entries EXCEPT SELECT ${columns} FROM main.entries`),
      rows: count('SELECT 1 FROM other.entries'),
    };
  } finally {
    database.close();
  }
}
