// Ten devices outside the cluster that sync with each other every two seconds while entries are added to their histories.
import { setTimeout as pause } from 'node:timers/promises';
import { parseLines } from '../../scripts/local-network.ts';
import type { Running } from '../../scripts/processes.ts';
import { until } from '../../testing/wait.ts';
import { createDevice, type Device, haveEqualHistories, type Round } from './devices.ts';
import type { ClusterNetwork } from './network.ts';

const DEVICES = 10;
const INITIAL_ENTRIES = 100;
/** Time between two rounds of a device, in seconds. */
const ROUND_INTERVAL_SECONDS = 2;
/** Time between two entries of a device, in milliseconds. */
const ENTRY_INTERVAL_MS = 1_000;
/** Deadline for equal histories, in milliseconds; generous, because ten devices share a busy machine. */
const CONVERGE_TIMEOUT_MS = 180_000;

export interface Fleet {
  /** Adds entries to all devices until the returned function is called. */
  addEntries(): () => Promise<void>;
  /** Waits until all devices have the same rows and returns their number. */
  converge(): Promise<number>;
  /** The number of rounds since the last call, and their failures. */
  roundsSinceLastCall(): { rounds: number; syncs: number; failures: string[]; problems: string[] };
  stop(): Promise<void>;
}

export async function startFleet(network: ClusterNetwork): Promise<Fleet> {
  const devices = Array.from({ length: DEVICES }, (_, index) => createDevice(network, `fleet-${index}`));
  for (const device of devices) device.record(INITIAL_ENTRIES);
  const running = devices.map((device) =>
    device.start('daemon', '--interval-sec', String(ROUND_INTERVAL_SECONDS), '--json'),
  );
  let rows = DEVICES * INITIAL_ENTRIES;
  let reportedRounds = running.map(() => 0);
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
        () => haveEqualHistories(devices, rows),
        `all ${DEVICES} devices have the same ${rows} rows`,
        CONVERGE_TIMEOUT_MS,
      );
      return rows;
    },
    roundsSinceLastCall() {
      const all = running.map((device) => parseLines<Round>(device.stdout()));
      const recent = all.flatMap((rounds, index) => rounds.slice(reportedRounds[index]));
      reportedRounds = all.map(({ length }) => length);
      const reports = recent.flatMap((round) => round.reports);
      return {
        rounds: recent.length,
        syncs: reports.length,
        failures: reports.flatMap(({ error }) => (error === undefined ? [] : [error])),
        problems: recent.flatMap(({ problems }) => problems),
      };
    },
    stop: async () => void (await Promise.all(running.map(async (device: Running) => device.stop()))),
  };
}

async function addUntil(signal: AbortSignal, devices: readonly Device[], onAdded: () => void): Promise<void> {
  while (!signal.aborted) {
    for (const device of devices) device.record(1);
    onAdded();
    await pause(ENTRY_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
  }
}
