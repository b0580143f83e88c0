// A mesh: daemons of `rr` 1.x with one user over one relay, all rounds starting in the same second.
import { setTimeout as sleep } from 'node:timers/promises';
import type { LogLine, Running } from '../../scripts/processes.ts';
import type { Entry } from '../../services/peer/history/entry.ts';
import { makeEntries } from '../../testing/network.ts';
import { cpuSeconds, peakResidentMiB } from '../../testing/process-usage.ts';
import { until } from '../../testing/wait.ts';
import { entryLines } from './entry-lines.ts';
import { createRrDevice, type RrDevice } from './rr-device.ts';
import type { RrProgram } from './rr-programs.ts';

export interface MeshOptions {
  readonly program: RrProgram;
  readonly folder: string;
  readonly swarmKey: string;
  readonly relay: { readonly address: string; readonly pid: number };
  readonly tracker: { readonly url: string; readonly pid: number };
  readonly devices: number;
  /** Time between the starts of two rounds. Longer than a round, or devices do not start theirs together. */
  readonly intervalSeconds: number;
  /**
   * Entries that each device records before it starts. The first two rounds transfer them: in the second the devices offer
   * what they got in the first. Default 20.
   */
  readonly entries?: number;
  readonly onStart: (running: Running) => void;
}

export interface MeshResult {
  readonly devices: number;
  readonly rounds: number;
  /** Rounds with a failed sync, or without all other devices. */
  readonly failedRounds: number;
  readonly syncs: number;
  /** Dials that failed, including those that a retry hid. */
  readonly failedCircuits: number;
  /** The reasons of everything that failed or was repeated, with their counts. */
  readonly reasons: ReadonlyMap<string, number>;
  /** Entries that were pulled or pushed. */
  readonly transferred: number;
  /** The duration of each round of each device, in milliseconds, sorted. */
  readonly roundsMs: readonly number[];
  /** The duration of each sync, in milliseconds. */
  readonly syncsMs: readonly number[];
  readonly relayCpuMsPerSync: number;
  readonly trackerCpuSeconds: number;
  /** Peaks since the start of the processes. */
  readonly relayMiB: number;
  readonly trackerMiB: number;
}

export interface Mesh {
  readonly daemons: readonly Running[];
  /** Every device makes this number of rounds. Must not be called again before it has resolved. */
  run(rounds: number, report?: (text: string) => void): Promise<MeshResult>;
  /** The reasons of all failures since the start, with their counts. */
  failures(): ReadonlyMap<string, number>;
  /** What is wrong in the histories of the devices, as whole sentences. Each must have the entries of all. */
  wrongHistories(): Promise<string[]>;
}

/** Default of `entries`. */
const ENTRIES = 20;

/** Devices that start at the same time. */
const PARALLEL_STARTS = 4;

/** A daemon starts its rounds this long after it is reachable, at the latest. */
const SYNC_DELAY_MS = 3_000;

/** Longer than a round can take: each peer has 30 s, and four run side by side. */
const LAST_ROUND_MS = 45_000;

const FAILURES: readonly string[] = [
  'daemon ended',
  'dial failed',
  'sync failed',
  'list failed',
  'refused',
  'lost',
];

/** A time limit of `rr` that expired, after which it repeated the request. On a busy machine this is no fault. */
const DELAYS: readonly string[] = ['no answer', 'register failed'];

/** Starts the devices and waits until each has synced with every other once. */
export async function startMesh(options: MeshOptions): Promise<Mesh> {
  const names = Array.from({ length: options.devices }, (_, index) => `mesh-${index}`);
  const devices: RrDevice[] = [];
  const daemons: Running[] = [];
  const queue = [...names];
  const startNext = async (): Promise<void> => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      const device = await createDevice(options, name);
      devices.push(device);
      daemons.push(await startDaemon(options, device));
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_STARTS }, startNext));
  await sleep(SYNC_DELAY_MS);
  const isFull = ({ peers }: LogLine): boolean => peers === options.devices - 1;
  await afterRounds(options, daemons, 1, isFull);
  const entries = names.flatMap((name) => makeEntries(name, options.entries ?? ENTRIES));
  // The next round starts with the next tick. Until then no device syncs.
  const tickNow = (): number => Math.floor(Date.now() / (options.intervalSeconds * 1000));
  let quietTick = tickNow();
  return {
    daemons,
    async run(rounds, report) {
      while (quietTick !== tickNow()) {
        await afterRounds(options, daemons, 1);
        quietTick = tickNow();
      }
      const before = daemons.map(countLines);
      const cpu = { relay: cpuSeconds(options.relay), tracker: cpuSeconds(options.tracker) };
      for (let done = 0; done < rounds; done += 1) {
        await afterRounds(options, daemons, 1);
        const failures = daemons.flatMap((daemon) => daemon.logged('dial failed'));
        report?.(`round ${done + 1} of ${rounds}; ${failures.length} failed circuits`);
      }
      quietTick = tickNow();
      const lines = daemons.flatMap((daemon, index) => linesAfter(daemon, before[index]));
      return summarize(options, lines, cpu);
    },
    failures: () =>
      reasonsOf(
        daemons.flatMap((daemon) => linesAfter(daemon)),
        FAILURES,
      ),
    wrongHistories: async () =>
      (await Promise.all(devices.map(async (device) => wrongHistory(device, entries)))).flat(),
  };
}

async function createDevice(options: MeshOptions, name: string): Promise<RrDevice> {
  const device = await createRrDevice(options.program, {
    folder: options.folder,
    name,
    user: 'ada',
    relay: options.relay.address,
    tracker: options.tracker.url,
    swarmKey: options.swarmKey,
    onStart: options.onStart,
  });
  await device.record(makeEntries(name, options.entries ?? ENTRIES));
  return device;
}

async function startDaemon({ intervalSeconds }: MeshOptions, device: RrDevice): Promise<Running> {
  const interval = ['--interval-sec', String(intervalSeconds)];
  return device.reachable('daemon', '--service-manager', '--aligned', ...interval);
}

/**
 * Waits until each device has finished more rounds. All start when the clock shows a multiple of the interval, so this
 * resolves between two rounds.
 */
async function afterRounds(
  { intervalSeconds }: MeshOptions,
  daemons: readonly Running[],
  rounds: number,
  isMeant: (round: LogLine) => boolean = () => true,
): Promise<void> {
  const roundsOf = (daemon: Running): number => daemon.logged('round').filter(isMeant).length;
  const before = daemons.map(roundsOf);
  await until(
    () => daemons.every((daemon, index) => roundsOf(daemon) >= (before[index] ?? 0) + rounds),
    'each device finishes its round',
    rounds * intervalSeconds * 1000 + LAST_ROUND_MS,
  );
}

const COUNTED = ['round', 'synced', ...FAILURES, ...DELAYS];

function countLines(daemon: Running): Map<string, number> {
  return new Map(COUNTED.map((msg) => [msg, daemon.logged(msg).length]));
}

function linesAfter(daemon: Running, before?: ReadonlyMap<string, number>): LogLine[] {
  return COUNTED.flatMap((msg) => daemon.logged(msg).slice(before?.get(msg)));
}

function summarize(
  { relay, tracker, devices }: MeshOptions,
  lines: readonly LogLine[],
  before: { readonly relay: number; readonly tracker: number },
): MeshResult {
  const of = (msg: string): LogLine[] => lines.filter((line) => line.msg === msg);
  const rounds = of('round');
  const syncs = of('synced').length + of('sync failed').length;
  return {
    devices,
    rounds: rounds.length,
    failedRounds: rounds.filter((round) => round['failed'] !== 0 || round['peers'] !== devices - 1).length,
    syncs,
    failedCircuits: of('dial failed').length,
    reasons: reasonsOf(lines, [...FAILURES, ...DELAYS]),
    transferred: of('synced').reduce((sum, line) => sum + Number(line['pulled']) + Number(line['pushed']), 0),
    roundsMs: rounds.map(msOf).toSorted((a, b) => a - b),
    syncsMs: of('synced').map(msOf),
    relayCpuMsPerSync: ((cpuSeconds(relay) - before.relay) * 1000) / syncs,
    trackerCpuSeconds: cpuSeconds(tracker) - before.tracker,
    relayMiB: peakResidentMiB(relay),
    trackerMiB: peakResidentMiB(tracker),
  };
}

function reasonsOf(lines: readonly LogLine[], messages: readonly string[]): Map<string, number> {
  const reasons = new Map<string, number>();
  for (const line of lines.filter(({ msg }) => messages.includes(msg))) {
    // Addresses and peer ids make every reason unique.
    const text = ((line['reason'] as string | undefined) ?? '').replaceAll(/\/ip4\S+|\b12D3Koo\w+/g, '…');
    const reason = `${line.msg}: ${text}`;
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  return reasons;
}

function msOf(line: LogLine): number {
  return Number(line['duration_ms']);
}

async function wrongHistory(device: RrDevice, expected: readonly Entry[]): Promise<string[]> {
  const { lines, code, stderr } = await device.run('entries');
  if (code !== 0) return [`The history of ${device.name} cannot be read: ${stderr}`];
  const found = lines.filter(({ msg }) => msg === 'entry').map((line) => line['entry'] as Entry);
  const [actual, wanted] = [found, expected].map((list) => entryLines(list).toSorted().join('\n'));
  if (actual === wanted) return [];
  return [`${device.name} has ${found.length} entries that are not the ${expected.length} of all devices.`];
}

export function formatMesh(result: MeshResult): string {
  const percent = ((result.failedCircuits / Math.max(1, result.syncs)) * 100).toFixed(1);
  const at = (share: number): number => result.roundsMs[Math.floor(result.roundsMs.length * share)] ?? 0;
  const reasons = [...result.reasons].map(([reason, count]) => `  ${count} × ${reason}`);
  return [
    `devices ${result.devices}; rounds ${result.rounds}, failed ${result.failedRounds}; syncs ${result.syncs}`,
    `failed circuits ${result.failedCircuits} (${percent} %)`,
    `round: median ${at(0.5)} ms, p95 ${at(0.95)} ms`,
    `relay: ${result.relayCpuMsPerSync.toFixed(1)} ms CPU per sync, at most ${result.relayMiB.toFixed(0)} MiB`,
    `tracker: ${result.trackerCpuSeconds.toFixed(2)} s CPU, at most ${result.trackerMiB.toFixed(0)} MiB`,
    ...reasons,
  ].join('\n');
}
