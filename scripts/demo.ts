// `npm run demo`: two devices find each other through the tracker and sync a shell history through the relay, inside
// a private network, as separate processes on this machine. Everything it makes is in a temporary folder and goes with it.
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeError } from '../services/shared/errors.ts';
import {
  deviceEnvironment,
  difference,
  parseLines,
  startRelay,
  startTracker,
  type SyncResult,
} from './local-network.ts';
import { finished, type Running, startService } from './processes.ts';

const SAMPLE = join(import.meta.dirname, 'sample', 'bash_history');

const folder = mkdtempSync(join(tmpdir(), 'rustory-demo-'));
const running: Running[] = [];
const started = performance.now();
let currentStep = 'starting';

function step(text: string): void {
  currentStep = text;
  const seconds = ((performance.now() - started) / 1000).toFixed(1).padStart(5);
  process.stdout.write(`${seconds} s  ${text}\n`);
}

/** The history that is synced: this user's own, which does not leave this machine, or the sample. */
function findHistory(): string {
  const own = ['.bash_history', '.zsh_history'].map((name) => join(homedir(), name));
  return own.find((path) => existsSync(path) && statSync(path).size > 0) ?? SAMPLE;
}

// Progress comes on standard error, log lines too; only the first is for people.
function showProgress(line: string, stream: string): void {
  if (stream === 'stderr' && !line.startsWith('{')) process.stdout.write(`          ${line}\n`);
}

async function peer(env: Record<string, string>, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await finished(startService('peer', { env, args, onLine: showProgress }));
  if (code !== 0) throw new Error(`rustory-peer ${args[0]} ended with ${code}:\n${stderr}`);
  return stdout;
}

async function demo(): Promise<void> {
  step('starting the tracker');
  const tracker = await startTracker();
  running.push(tracker);

  step(`tracker at ${tracker.url}; making a swarm key and starting the relay`);
  const relay = await startRelay(folder);
  running.push(relay);
  const a = deviceEnvironment(folder, 'device-a', { tracker, relay });
  const b = deviceEnvironment(folder, 'device-b', { tracker, relay });

  const history = findHistory();
  step(`relay at ${relay.address}`);
  step(`device A imports ${history}`);
  await peer(a, 'import', ...(history === SAMPLE ? ['--shell', 'bash'] : []), history);

  step('device A reserves at the relay and registers with the tracker');
  const deviceA = startService('peer', { env: a, args: ['serve'] });
  running.push(deviceA);
  const registered = await deviceA.waitFor('registered', ({ addrs }) =>
    String(addrs).includes('/p2p-circuit'),
  );

  step('device B asks the tracker who is there, dials through the relay, and pulls');
  const results = parseLines<SyncResult>(await peer(b, 'sync', '--json'));

  step('comparing both databases');
  const { rows, missing, surplus } = difference(join(folder, 'device-a.db'), join(folder, 'device-b.db'));
  if (missing + surplus > 0) throw new Error(`B lacks ${missing} entries and has ${surplus} that A has not`);
  printTable(registered, results, rows);
}

function printTable(registered: Record<string, unknown>, results: SyncResult[], received: number): void {
  const [result] = results;
  if (result === undefined || result.error !== undefined)
    throw new Error(`B synced with nobody: ${result?.error}`);
  const addresses = registered['addrs'] as string[];
  const rows: Array<[string, string]> = [
    ['registered', `${result.peer_id} (device A)`],
    ...addresses.map((address, at): [string, string] => [at === 0 ? 'with addresses' : '', address]),
    ['B reached A by', result.address],
    ['entries sent by A', result.entries.toLocaleString('en')],
    ['entries received by B', `${received.toLocaleString('en')}, all equal`],
    ['duplicates', String(result.duplicates)],
    ['bytes pulled', result.bytes.toLocaleString('en')],
    ['time of the sync', `${(result.duration_ms / 1000).toFixed(2)} s`],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  process.stdout.write('\n');
  for (const [name, value] of rows) process.stdout.write(`  ${name.padEnd(width)}  ${value}\n`);
  process.stdout.write('\n');
  if (result.duplicates !== 0) throw new Error(`${result.duplicates} entries came twice`);
}

/** Stops all that was started, whatever became of it; answers those that did not stop cleanly. */
async function cleanUp(): Promise<string[]> {
  const codes = await Promise.all(
    running.splice(0).map(async (service) => [service.name, await service.stop()] as const),
  );
  rmSync(folder, { recursive: true, force: true });
  return codes.filter(([, code]) => code !== 0).map(([name, code]) => `the ${name} ended with ${code}`);
}

process.once('SIGINT', () => {
  void cleanUp().finally(() => process.exit(130));
});

try {
  await demo();
  step('stopping everything');
  const unclean = await cleanUp();
  if (unclean.length > 0) throw new Error(unclean.join(', '));
  step('done: two devices with the same history');
} catch (error) {
  process.stderr.write(`\nThe demo failed while ${currentStep}:\n  ${describeError(error)}\n`);
  await cleanUp();
  process.exitCode = 1;
}
