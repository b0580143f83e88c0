// `npm run demo`: two devices find each other through the tracker and sync a shell history through the relay. Then a
// third device, which is never on at the same time as the others, gets it from the hub. All in a private network of
// processes on this machine, with all files in a temporary folder, which is removed at the end.
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeError } from '../services/shared/errors.ts';
import {
  deviceEnvironment,
  difference,
  hubEnvironment,
  parseLines,
  startRelay,
  startTracker,
  type SyncResult,
} from './local-network.ts';
import { finished, type Running, startService } from './processes.ts';

const SAMPLE = join(import.meta.dirname, 'sample', 'bash_history');

const folder = mkdtempSync(join(tmpdir(), 'rustory-demo-'));
const running: Running[] = [];
const startedMs = performance.now();
let currentStep = 'Starting.';

function step(text: string): void {
  currentStep = text;
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1).padStart(5);
  process.stdout.write(`${seconds} s  ${text}\n`);
}

/** The history to sync: that of this user, which does not leave this machine, or the sample. */
function findHistory(): string {
  const own = ['.bash_history', '.zsh_history'].map((name) => join(homedir(), name));
  return own.find((path) => existsSync(path) && statSync(path).size > 0) ?? SAMPLE;
}

/** Shows the progress of a peer, which it writes to standard error together with its log. */
function showProgress(line: string, stream: string): void {
  if (stream === 'stderr' && !line.startsWith('{')) process.stdout.write(`          ${line}\n`);
}

async function peer(env: Record<string, string>, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await finished(startService('peer', { env, args, onLine: showProgress }));
  if (code !== 0) throw new Error(`rustory-peer ${args[0]} failed with exit code ${code}:\n${stderr}`);
  return stdout;
}

/** What the demo shows about one pull. */
interface Pull {
  readonly result: SyncResult;
  /** Entries in the database of the device that pulled, all equal to those of device A. */
  readonly received: number;
}

async function demo(): Promise<void> {
  step('Starting the tracker.');
  const tracker = await startTracker();
  running.push(tracker);

  step(`The tracker listens on ${tracker.url}. Creating a swarm key and starting the relay.`);
  const relay = await startRelay(folder);
  running.push(relay);
  const network = { tracker, relay };
  const a = deviceEnvironment(folder, 'device-a', network);
  // On one machine a direct connection may be faster than the circuit that the demo shows.
  const later = { RUSTORY_DIAL_STRATEGY: 'relay-only' };
  const b = { ...deviceEnvironment(folder, 'device-b', network), ...later };
  const c = { ...deviceEnvironment(folder, 'device-c', network), ...later };

  const history = findHistory();
  step(`The relay listens on ${relay.address}.`);
  step(`Device A imports ${history}.`);
  await peer(a, 'import', ...(history === SAMPLE ? ['--shell', 'bash'] : []), history);

  step('Device A requests a reservation at the relay and registers with the tracker.');
  const deviceA = await startRegistered(a, 'serve');
  step('Device B lists the devices at the tracker, connects to A through the relay, and pulls its history.');
  const direct = await pull(b, 'device-b');

  step('Device A leaves. The hub starts, which is always on.');
  await stop(deviceA);
  await startRegistered(hubEnvironment(folder, network), 'hub');
  step('Device A comes for a moment, pushes its history to the hub, and leaves.');
  await peer({ ...a, ...later }, 'sync', '--push');
  step('Device C comes. Both other devices are off; it pulls everything from the hub.');
  const throughHub = await pull(c, 'device-c');
  printTable(deviceA, direct, throughHub);
}

/** Starts a service of a peer, and waits until other devices can reach it through the relay. */
async function startRegistered(env: Record<string, string>, command: string): Promise<Running> {
  const service = startService('peer', { env, args: [command] });
  running.push(service);
  await service.waitFor('registered', isCircuit);
  return service;
}

const isCircuit = ({ addrs }: Record<string, unknown>): boolean => String(addrs).includes('/p2p-circuit');

async function stop(service: Running): Promise<void> {
  running.splice(running.indexOf(service), 1);
  const code = await service.stop();
  if (code !== 0) throw new Error(`The ${service.name} ended with exit code ${code}.`);
}

/** Syncs a device, and compares its database with that of device A. */
async function pull(env: Record<string, string>, device: string): Promise<Pull> {
  const [result] = parseLines<SyncResult>(await peer(env, 'sync', '--json'));
  if (result === undefined || result.error !== undefined)
    throw new Error(`${device} did not sync: ${result?.error ?? 'it found no other device'}.`);
  const { rows, missing, surplus } = difference(join(folder, 'device-a.db'), join(folder, `${device}.db`));
  if (missing + surplus > 0)
    throw new Error(
      `The databases differ: ${missing} entries of A are missing in ${device}, and ${surplus} are only there.`,
    );
  return { result, received: rows };
}

function printTable(deviceA: Running, direct: Pull, throughHub: Pull): void {
  const addresses = deviceA.logged('registered').find(isCircuit)?.['addrs'] as string[];
  const { result } = direct;
  const duplicates = result.duplicates + throughHub.result.duplicates;
  const rows: Array<[string, string]> = [
    ['registered', `${result.peer_id} (device A)`],
    ...addresses.map((address, index): [string, string] => [index === 0 ? 'with addresses' : '', address]),
    ['B reached A by', result.address],
    ['entries sent by A', result.entries.toLocaleString('en')],
    ['entries received by B', `${direct.received.toLocaleString('en')}, all equal`],
    ['bytes pulled', result.bytes.toLocaleString('en')],
    ['duration of the sync', `${(result.duration_ms / 1000).toFixed(2)} s`],
    ['C reached the hub by', throughHub.result.address],
    ['entries received by C', `${throughHub.received.toLocaleString('en')}, all equal, when A was off`],
    ['duplicates', String(duplicates)],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  process.stdout.write('\n');
  for (const [name, value] of rows) process.stdout.write(`  ${name.padEnd(width)}  ${value}\n`);
  process.stdout.write('\n');
  if (duplicates !== 0) throw new Error(`${duplicates} entries were received more than once.`);
}

/** Stops all processes and removes the folder. Returns one sentence for each process that failed. */
async function cleanUp(): Promise<string[]> {
  const codes = await Promise.all(
    running.splice(0).map(async (service) => [service.name, await service.stop()] as const),
  );
  rmSync(folder, { recursive: true, force: true });
  return codes
    .filter(([, code]) => code !== 0)
    .map(([name, code]) => `The ${name} ended with exit code ${code}.`);
}

function abort(exitCode: number): void {
  void cleanUp().finally(() => process.exit(exitCode));
}

process.once('SIGINT', () => abort(130)).once('SIGTERM', () => abort(143));
// The reader of the output has ended, as `head` does.
process.stdout.once('error', () => abort(0));

try {
  await demo();
  step('Stopping everything.');
  const unclean = await cleanUp();
  if (unclean.length > 0) throw new Error(unclean.join(' '));
  step('Done: all devices have the same history.');
} catch (error) {
  process.stderr.write(`\nThe demo failed at this step: ${currentStep}\n  ${describeError(error)}.\n`);
  await cleanUp();
  process.exitCode = 1;
}
