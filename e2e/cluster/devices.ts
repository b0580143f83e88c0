// Devices outside the cluster: peer processes on this machine that only know their configuration.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { deviceEnvironment, difference } from '../../scripts/local-network.ts';
import { type Finished, finished, type Running, startService } from '../../scripts/processes.ts';
import { openDatabase } from '../../services/peer/history/database.ts';
import { createStore } from '../../services/peer/history/store.ts';
import { makeEntries } from '../../testing/network.ts';
import type { ClusterNetwork } from './network.ts';

/** One line of the output of `daemon --json`: the result of a round. */
export interface Round {
  readonly failed: number;
  readonly problems: readonly string[];
  readonly reports: ReadonlyArray<{ readonly error?: string }>;
}

export interface Device {
  readonly name: string;
  readonly database: string;
  run(...args: string[]): Promise<Finished>;
  start(...args: string[]): Running;
  /** Adds entries to the history. */
  record(count: number): void;
}

/**
 * @param relays The relays in its configuration. Default: all of the network.
 * @param userId The user of the device and of its entries. Default: the device has another user than its entries.
 */
export function createDevice(
  { folder, tracker, token, relays: all }: ClusterNetwork,
  name: string,
  relays: readonly string[] = all,
  userId?: string,
): Device {
  mkdirSync(join(folder, name), { recursive: true });
  const env: Record<string, string> = {
    ...deviceEnvironment(folder, name, { tracker, relay: { address: relays.join(',') } }),
    RUSTORY_TRACKER_TOKEN: token,
    // The Ingress of the test cluster has no TLS.
    RUSTORY_TRACKER_TOKEN_OVER_HTTP: 'true',
    // The device can only be reached through the relays, like a device behind a NAT.
    RUSTORY_LISTEN: 'none',
    ...(userId === undefined ? {} : { RUSTORY_USER_ID: userId }),
  };
  const database = env['RUSTORY_DB_PATH'] ?? '';
  let recorded = 0;
  return {
    name,
    database,
    run: async (...args) => finished(startService('peer', { env, args })),
    start: (...args) => startService('peer', { env, args }),
    record(count) {
      const opened = openDatabase(database);
      try {
        const entries = makeEntries(name, count, recorded);
        if (userId !== undefined) for (const entry of entries) Object.assign(entry, { user_id: userId });
        createStore(opened).insert(entries);
        recorded += count;
      } finally {
        opened.close();
      }
    },
  };
}

/** Whether all devices have the same history, with this number of rows. */
export function haveEqualHistories(devices: readonly Device[], rows: number): boolean {
  const [first, ...others] = devices;
  if (first === undefined) return false;
  return others.every(({ database }) => {
    const result = difference(first.database, database);
    return result.missing === 0 && result.surplus === 0 && result.rows === rows;
  });
}
