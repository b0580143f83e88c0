// `node e2e/interop/push-bench.ts [--runs 3] [--receiver WORD]`: how fast our hub stores what devices push, beside
// `p2p-serve` of the stand-in for `rr` 1.x, which receives the same from the same senders, directly on loopback. Prints a
// table for docs/hub.md: pushes and entries per second, and the CPU time of the receiving process per 1,000 entries.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { parseArgs } from 'node:util';
import { hubEnvironment, startTracker, type Tracker } from '../../scripts/local-network.ts';
import { type Running, startService } from '../../scripts/processes.ts';
import { createSwarmKeyFile } from '../../services/private-network/key.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { freePort } from '../../testing/free-port.ts';
import { makeEntries } from '../../testing/network.ts';
import { peerIds } from '../../testing/peer-ids.ts';
import { cpuSeconds, residentMiB } from '../../testing/process-usage.ts';
import { until } from '../../testing/wait.ts';
import { createRrDevice, type RrDevice } from './rr-device.ts';
import { register } from './rr-hub.ts';
import { buildRr, RR_PROGRAMS } from './rr-programs.ts';

interface Load {
  readonly name: string;
  readonly senders: number;
  readonly pushesPerSender: number;
  readonly entriesPerPush: number;
}

const LOADS: readonly Load[] = [
  { name: '1 entry per push', senders: 1, pushesPerSender: 1_000, entriesPerPush: 1 },
  { name: '1 entry per push, 8 devices', senders: 8, pushesPerSender: 250, entriesPerPush: 1 },
  { name: '1,000 entries per push', senders: 1, pushesPerSender: 20, entriesPerPush: 1_000 },
  { name: '100,000 entries of one device', senders: 1, pushesPerSender: 100, entriesPerPush: 1_000 },
];

/** The name in the table, and the options of `p2p-serve`; `undefined`: our hub. */
const RECEIVERS: ReadonlyArray<readonly [string, readonly string[] | undefined]> = [
  ['our hub', undefined],
  ['rr p2p-serve', []],
  ['rr p2p-serve, synchronous=NORMAL', ['--synchronous', 'NORMAL']],
];

const USER = 'ada';

interface Figures {
  readonly seconds: number;
  readonly cpu: number;
  readonly mib: number;
}

interface Place {
  readonly folder: string;
  readonly tracker: Tracker;
  readonly swarmKey: string;
  /** A relay that does not exist, so that devices are reached directly. */
  readonly relay: string;
}

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '3' }, receiver: { type: 'string', default: '' } },
});

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const program = RR_PROGRAMS.find(({ version }) => version === '1.1.1');
assert.ok(program);

function device(place: Place, name: string, options: readonly string[]): Promise<RrDevice> {
  assert.ok(program);
  return createRrDevice(program, {
    folder: place.folder,
    name,
    user: USER,
    relay: place.relay,
    tracker: place.tracker.url,
    swarmKey: place.swarmKey,
    options: ['--lan', ...options],
    onStart: (running) => onCleanup(() => running.kill('SIGKILL')),
  });
}

async function startOurHub({ folder, tracker, swarmKey }: Place) {
  copyFileSync(swarmKey, join(folder, 'swarm.key'));
  const { RUSTORY_RELAY_ADDR: _, ...env } = hubEnvironment(folder, { tracker, relay: { address: '' } });
  const port = await freePort();
  const running = startService('peer', {
    args: ['hub'],
    env: {
      ...env,
      RUSTORY_USER_ID: USER,
      RUSTORY_LISTEN: `/ip4/127.0.0.1/tcp/${port}`,
      RUSTORY_ANNOUNCE_ADDRS: `/ip4/127.0.0.1/tcp/${port}`,
    },
  });
  onCleanup(async () => running.stop());
  await running.waitFor('registered', ({ addrs }) => (addrs as string[]).length > 0);
  return { running, databasePath: join(folder, 'hub.db') };
}

async function startRr(place: Place, options: readonly string[]) {
  const receiving = await device(place, 'receiver', options);
  const running = receiving.start('p2p-serve');
  await running.waitFor('registered', ({ addresses }) => Number(addresses) > 0);
  return { running, databasePath: receiving.databasePath };
}

/** Runs one load with a new receiver, and checks that everything was stored. */
async function measure(load: Load, options: readonly string[] | undefined): Promise<Figures> {
  const folder = mkdtempSync(join(tmpdir(), 'rustory-push-bench-'));
  const swarmKey = join(folder, 'bench.key');
  createSwarmKeyFile(swarmKey);
  const tracker = await startTracker();
  const [relayId = ''] = peerIds(1);
  const place = { folder, tracker, swarmKey, relay: `/ip4/127.0.0.1/tcp/9/p2p/${relayId}` };
  const senders = await Promise.all(
    Array.from({ length: load.senders }, async (_, index) => {
      const name = `sender-${index}`;
      mkdirSync(join(folder, name));
      const sender = await device({ ...place, folder: join(folder, name) }, name, []);
      const entries = makeEntries(name, load.pushesPerSender * load.entriesPerPush);
      await sender.record(entries);
      await register(tracker, sender);
      return sender;
    }),
  );
  const receiverFolder = join(folder, 'receiver');
  mkdirSync(receiverFolder);
  const at = { ...place, folder: receiverFolder };
  const { running, databasePath } = await (options === undefined ? startOurHub(at) : startRr(at, options));
  const cpuBefore = cpuSeconds(running);
  const startMs = performance.now();
  await Promise.all(senders.map(async (sender) => push(sender, load)));
  const seconds = (performance.now() - startMs) / 1000;
  const figures = { seconds, cpu: cpuSeconds(running) - cpuBefore, mib: residentMiB(running) };
  await until(() => count(databasePath) === totalOf(load), 'everything is stored');
  await stopAll(running, tracker);
  rmSync(folder, { recursive: true });
  return figures;
}

async function stopAll(...processes: readonly Running[]): Promise<void> {
  for (const running of processes) {
    running.kill('SIGKILL');
    await running.exited;
  }
}

async function push(sender: RrDevice, load: Load): Promise<void> {
  const limit = String(load.entriesPerPush);
  const args = ['--push', '--push-limit', limit, '--peer-sec', '3600'];
  const { code, lines, stderr } = await sender.run('p2p-sync', ...args);
  assert.equal(code, 0, `${JSON.stringify(lines)} ${stderr}`);
  const pushed = lines.reduce((sum, line) => sum + Number(line['pushed'] ?? 0), 0);
  assert.equal(pushed, load.pushesPerSender * load.entriesPerPush, JSON.stringify(lines));
}

function totalOf({ senders, pushesPerSender, entriesPerPush }: Load): number {
  return senders * pushesPerSender * entriesPerPush;
}

function count(databasePath: string): number {
  const database = new DatabaseSync(databasePath, { readOnly: true, timeout: 5_000 });
  const counted = database.prepare('SELECT count(*) AS n FROM entries').get();
  database.close();
  return Number(counted?.['n']);
}

/** The run with the median duration. */
function median(figures: readonly Figures[]): Figures {
  const sorted = figures.toSorted((a, b) => a.seconds - b.seconds);
  const middle = sorted[Math.floor(sorted.length / 2)];
  assert.ok(middle);
  return middle;
}

function row(load: Load, name: string, { seconds, cpu, mib }: Figures): string {
  const total = totalOf(load);
  const pushes = (load.senders * load.pushesPerSender) / seconds;
  const cells = [
    load.name,
    name,
    pushes.toFixed(0),
    (total / seconds).toFixed(0),
    `${((cpu / total) * 1_000_000).toFixed(0)} ms`,
    `${mib.toFixed(0)} MiB`,
  ];
  return `| ${cells.join(' | ')} |`;
}

const missing = await buildRr(say);
if (missing !== undefined) throw new Error(`The bench requires cargo: ${missing}.`);
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void cleanUp().then(() => process.exit(1)));
try {
  const rows: string[] = [];
  for (const load of LOADS)
    for (const [name, options] of RECEIVERS.filter(([known]) => known.includes(values.receiver))) {
      const figures: Figures[] = [];
      for (let run = 0; run < Number(values.runs); run += 1) figures.push(await measure(load, options));
      rows.push(row(load, name, median(figures)));
      say(rows.at(-1) ?? '');
    }
  say('\n| load | receiver | pushes/s | entries/s | CPU per 1,000 entries | memory |');
  say('| --- | --- | --- | --- | --- | --- |');
  for (const text of rows) say(text);
} finally {
  await cleanUp();
}
