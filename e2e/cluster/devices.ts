// Devices outside the cluster: processes of the peer on this machine, which know nothing but their configuration.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { deviceEnvironment, difference } from '../../scripts/local-network.ts';
import { type Finished, finished, type Running, startService } from '../../scripts/processes.ts';
import { openDatabase } from '../../services/peer/history/database.ts';
import { createStore } from '../../services/peer/history/store.ts';
import { makeEntries } from '../../testing/network.ts';
import type { ClusterGrid } from './network.ts';

/** What one line of `daemon --json` says of a round. */
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
  /** Adds as many entries as a shell would. */
  record(count: number): void;
}

/** @param relays those that it is told, by default all of the grid */
export function createDevice(
  { folder, tracker, token, relays: all }: ClusterGrid,
  name: string,
  relays: readonly string[] = all,
): Device {
  mkdirSync(join(folder, name), { recursive: true });
  const env: Record<string, string> = {
    ...deviceEnvironment(folder, name, { tracker, relay: { address: relays.join(',') } }),
    RUSTORY_TRACKER_TOKEN: token,
    // Only the relays lead to it, as to a device behind a router.
    RUSTORY_LISTEN: 'none',
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
        createStore(opened).insert(makeEntries(name, count, recorded));
        recorded += count;
      } finally {
        opened.close();
      }
    },
  };
}

/** Whether all devices have the same rows, that many. */
export function areEqual(devices: readonly Device[], rows: number): boolean {
  const [first, ...others] = devices;
  if (first === undefined) return false;
  return others.every(({ database }) => {
    const found = difference(first.database, database);
    return found.missing === 0 && found.surplus === 0 && found.rows === rows;
  });
}
