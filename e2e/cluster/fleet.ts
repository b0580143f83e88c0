// Ten devices at work outside the cluster: each syncs with the others every other second, and adds to its history.
import { setTimeout as pause } from 'node:timers/promises';
import { parseLines } from '../../scripts/local-network.ts';
import type { Running } from '../../scripts/processes.ts';
import { until } from '../../testing/wait.ts';
import { areEqual, createDevice, type Device, type Round } from './devices.ts';
import type { ClusterGrid } from './network.ts';

const DEVICES = 10;
const FIRST_ENTRIES = 100;
/** Seconds between two rounds of a device. */
const INTERVAL_SECONDS = 2;
/** How often each device adds an entry, in milliseconds. */
const RECORD_MS = 1_000;
/** How long the devices may take to have all of each other: ten of them on a busy machine. */
const CONVERGE_MS = 180_000;

/** Ten devices at work. */
export interface Fleet {
  /** Starts adding entries, until the returned function is called. */
  addEntries(): () => Promise<void>;
  /** Waits until all have the same rows; answers how many. */
  converge(): Promise<number>;
  /** Rounds since the last time this was asked, and what failed in them. */
  rounds(): { rounds: number; syncs: number; failures: string[]; problems: string[] };
  stop(): Promise<void>;
}

export async function startFleet(grid: ClusterGrid): Promise<Fleet> {
  const devices = Array.from({ length: DEVICES }, (_, at) => createDevice(grid, `fleet-${at}`));
  for (const device of devices) device.record(FIRST_ENTRIES);
  const running = devices.map((device) =>
    device.start('daemon', '--interval-sec', String(INTERVAL_SECONDS), '--json'),
  );
  let rows = DEVICES * FIRST_ENTRIES;
  let seen = running.map(() => 0);
  return {
    addEntries() {
      const stopping = new AbortController();
      const adding = addUntil(stopping.signal, devices, () => (rows += DEVICES));
      return async () => {
        stopping.abort();
        await adding;
      };
    },
    async converge() {
      await until(
        () => areEqual(devices, rows),
        `all ${DEVICES} devices have the same ${rows} rows`,
        CONVERGE_MS,
      );
      return rows;
    },
    rounds() {
      const all = running.map((device) => parseLines<Round>(device.stdout()));
      const fresh = all.flatMap((rounds, at) => rounds.slice(seen[at]));
      seen = all.map(({ length }) => length);
      const reports = fresh.flatMap((round) => round.reports);
      return {
        rounds: fresh.length,
        syncs: reports.length,
        failures: reports.flatMap(({ error }) => (error === undefined ? [] : [error])),
        problems: fresh.flatMap(({ problems }) => problems),
      };
    },
    stop: async () => void (await Promise.all(running.map(async (device: Running) => device.stop()))),
  };
}

async function addUntil(signal: AbortSignal, devices: readonly Device[], onAdded: () => void): Promise<void> {
  while (!signal.aborted) {
    for (const device of devices) device.record(1);
    onAdded();
    await pause(RECORD_MS, undefined, { signal }).catch(() => undefined);
  }
}
