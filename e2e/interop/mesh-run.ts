// A mesh: daemons of `rr` 1.x with one user over one relay, all rounds starting in the same second.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Relay, Tracker } from '../../scripts/local-network.ts';
import type { LogLine, Running } from '../../scripts/processes.ts';
import { makeEntries } from '../../testing/network.ts';
import { cpuSeconds, residentMiB } from '../../testing/process-usage.ts';
import { until } from '../../testing/wait.ts';
import { createRrDevice } from './rr-device.ts';
import type { RrProgram } from './rr-programs.ts';

export interface MeshOptions {
  readonly program: RrProgram;
  readonly folder: string;
  readonly swarmKey: string;
  readonly relay: Relay;
  readonly tracker: Tracker;
  readonly devices: number;
  readonly seconds: number;
  readonly intervalSeconds: number;
  readonly onStart: (running: Running) => void;
  readonly report: (text: string) => void;
}

export interface MeshResult {
  readonly devices: number;
  readonly rounds: number;
  readonly failedRounds: number;
  readonly syncs: number;
  /** Dials that failed, including those that a retry hid. */
  readonly failedCircuits: number;
  /** The reasons of the failed dials and syncs, with their counts. */
  readonly reasons: ReadonlyMap<string, number>;
  readonly roundMs: { readonly median: number; readonly p95: number };
  readonly relayCpuMsPerSync: number;
  readonly trackerCpuSeconds: number;
  readonly relayMiB: number;
  readonly trackerMiB: number;
}

/** Entries that each device records before it starts. */
const ENTRIES = 20;

/** Longer than a round can take: each peer has 30 s, and four run side by side. */
const LAST_ROUND_SECONDS = 45;

/** Runs the mesh. Only rounds that start when every device is listed count. */
export async function runMesh(options: MeshOptions): Promise<MeshResult> {
  const { relay, tracker, devices, intervalSeconds } = options;
  const lines: LogLine[] = [];
  const daemons: Running[] = [];
  for (let index = 0; index < devices; index += 1) {
    const name = `mesh-${index}`;
    const device = await createRrDevice(options.program, {
      folder: options.folder,
      name,
      user: 'ada',
      relay: relay.address,
      tracker: tracker.url,
      swarmKey: options.swarmKey,
      onStart: options.onStart,
    });
    await device.record(makeEntries(name, ENTRIES));
    daemons.push(
      await device.reachable(
        'daemon',
        '--service-manager',
        '--aligned',
        '--interval-sec',
        String(intervalSeconds),
      ),
    );
  }
  const cpuBefore = { relay: cpuSeconds(relay), tracker: cpuSeconds(tracker) };
  const endMs = performance.now() + options.seconds * 1000;
  while (performance.now() < endMs) {
    await sleep(Math.min(intervalSeconds * 1000, endMs - performance.now()));
    const rounds = daemons.flatMap((daemon) => daemon.logged('round'));
    const failures = daemons.flatMap((daemon) => daemon.logged('dial failed'));
    const failed = rounds.filter((round) => round['failed'] !== 0).length;
    options.report(`${rounds.length} rounds, ${failed} failed; ${failures.length} failed circuits`);
  }
  // All rounds start when the clock shows a multiple of the interval. Each device finishes the ones that start then, so
  // that no round is counted in part.
  const intervalMs = intervalSeconds * 1000;
  await sleep(intervalMs - (Date.now() % intervalMs));
  const roundsOf = (): number[] => daemons.map((daemon) => daemon.logged('round').length);
  const before = roundsOf();
  await until(
    () => roundsOf().every((rounds, index) => rounds > (before[index] ?? 0)),
    'each device finishes its last round',
    intervalMs + LAST_ROUND_SECONDS * 1000,
  );
  for (const daemon of daemons)
    for (const msg of ['round', 'synced', 'sync failed', 'dial failed', 'daemon ended'])
      lines.push(...daemon.logged(msg));
  return summarize(options, lines, cpuBefore);
}

function summarize(
  { relay, tracker, devices }: MeshOptions,
  lines: readonly LogLine[],
  before: { readonly relay: number; readonly tracker: number },
): MeshResult {
  const of = (msg: string): LogLine[] => lines.filter((line) => line.msg === msg);
  // The first rounds of the first devices start before the last device is listed.
  const rounds = of('round').filter((round) => Number(round['peers']) === devices - 1);
  const durations = rounds.map((round) => Number(round['duration_ms'])).toSorted((a, b) => a - b);
  const at = (share: number): number => durations[Math.floor(durations.length * share)] ?? 0;
  const syncs = of('synced').length + of('sync failed').length;
  const reasons = new Map<string, number>();
  for (const line of [...of('dial failed'), ...of('sync failed'), ...of('daemon ended')]) {
    // Addresses and peer ids make every reason unique.
    const text = ((line['reason'] as string | undefined) ?? '').replaceAll(/\/ip4\S+|\b12D3Koo\w+/g, '…');
    const reason = `${line.msg}: ${text}`;
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  return {
    devices,
    rounds: rounds.length,
    failedRounds: rounds.filter((round) => round['failed'] !== 0).length,
    syncs,
    failedCircuits: of('dial failed').length,
    reasons,
    roundMs: { median: at(0.5), p95: at(0.95) },
    relayCpuMsPerSync: ((cpuSeconds(relay) - before.relay) * 1000) / syncs,
    trackerCpuSeconds: cpuSeconds(tracker) - before.tracker,
    relayMiB: residentMiB(relay),
    trackerMiB: residentMiB(tracker),
  };
}

export function formatMesh(result: MeshResult): string {
  const percent = ((result.failedCircuits / Math.max(1, result.syncs)) * 100).toFixed(1);
  const reasons = [...result.reasons].map(([reason, count]) => `  ${count} × ${reason}`);
  return [
    `devices ${result.devices}; rounds ${result.rounds}, failed ${result.failedRounds}; syncs ${result.syncs}`,
    `failed circuits ${result.failedCircuits} (${percent} %)`,
    `round: median ${result.roundMs.median} ms, p95 ${result.roundMs.p95} ms`,
    `relay: ${result.relayCpuMsPerSync.toFixed(1)} ms CPU per sync, ${result.relayMiB.toFixed(0)} MiB`,
    `tracker: ${result.trackerCpuSeconds.toFixed(2)} s CPU, ${result.trackerMiB.toFixed(0)} MiB`,
    ...reasons,
  ].join('\n');
}
