// `node e2e/load/hub-star.ts [DEVICES [RELAY_MIB [HUB_MIB [ENTRIES]]]] [together | patient]`: devices that all start in the
// same second and sync with one hub through one relay. Each opens a new connection to the relay, a circuit to the hub, pulls
// once and pushes once, and tries nothing twice. With `together` each step begins when all devices have finished the one
// before, as on machines that are all fast. `patient` is the same with ten devices that connect at a time, and that repeat a
// push until it is stored: for the memory of the hub, on a machine that is busy. The hub is the bundle of the image. Prints the
// failures, the times, and the memory and CPU time of relay and hub.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Connection, Libp2p } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { hubEnvironment, startRelay, startTracker } from '../../scripts/local-network.ts';
import { startProgram } from '../../scripts/processes.ts';
import { readSwarmKey } from '../../services/private-network/key.ts';
import { currentBundle } from '../../testing/bundle.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { createContainer } from '../../testing/container.ts';
import { startDevice } from '../../testing/load-devices.ts';
import { cpuSeconds, residentMiB } from '../../testing/process-usage.ts';
import { openStream } from '../../testing/push-client.ts';
import { readToEnd, sendMessage } from '../../testing/raw-stream.ts';
import { wireEntries } from '../../testing/wire-entries.ts';
import { decode, encode, PULL, type PullAnswer, PUSH, type PushAnswer } from '../../testing/wire-messages.ts';

const patient = process.argv.includes('patient');
const together = patient || process.argv.includes('together');
const [devices = 200, relayMiB = 512, hubMiB = 256, entries = 10] = process.argv
  .slice(2)
  .filter((argument) => /^\d+$/.test(argument))
  .map(Number);

/** The time that `rr` gives everything with one peer, in milliseconds. */
const SYNC_MS = patient ? 600_000 : 30_000;

/** Devices that connect at the same time. */
const DIALS = patient ? 10 : devices;

const USER = 'ada';
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const folder = mkdtempSync(join(tmpdir(), 'rustory-star-'));
onCleanup(() => rmSync(folder, { recursive: true, force: true }));

interface Outcome {
  readonly ms: number;
  /** The step that failed, and why. */
  readonly failure?: string;
}

/** Resolves when all devices have called it, or have failed. Without `together` at once. */
function createBarrier() {
  const open = Promise.withResolvers<void>();
  let missing = devices;
  const arrive = (): void => {
    missing -= 1;
    if (missing === 0) open.resolve();
  };
  return { arrive, passed: together ? open.promise : Promise.resolve() };
}

const barriers = { pull: createBarrier(), push: createBarrier() };

const dials: Array<Promise<Connection>> = [];

/** Connects a device when one that began before it is connected. */
async function connectInTurn(n: number, dial: () => Promise<Connection>): Promise<Connection> {
  const before = dials[n - DIALS];
  const dialed = before === undefined ? dial() : before.then(dial, dial);
  dials[n] = dialed;
  return dialed;
}

/** Everything that a device does in a round, without a second try. */
async function sync(node: Libp2p, n: number, address: string): Promise<Outcome> {
  const signal = AbortSignal.timeout(SYNC_MS);
  const startedMs = performance.now();
  let step = 'dial';
  const ask = async (protocol: string, message: unknown): Promise<unknown> => {
    const connection = await connected;
    const stream = await openStream(connection, protocol, signal);
    const [answer] = await Promise.all([
      readToEnd(stream, signal),
      sendMessage(stream, encode(message, 'zstd'), signal),
    ]);
    return decode(answer, 'zstd');
  };
  const connected = connectInTurn(n, async () => node.dial(multiaddr(address), { signal }));
  try {
    await connected;
    barriers.pull.arrive();
    await barriers.pull.passed;
    step = 'pull';
    const pulled = (await ask(PULL.zstd, { cursor: 0, delete_cursor: 0, limit: 1_000 })) as PullAnswer;
    barriers.push.arrive();
    await barriers.push.passed;
    step = `push after ${pulled.entries.length} entries`;
    const push = async (): Promise<boolean> => {
      const pushed = (await ask(PUSH.zstd, { entries: wireEntries(`device${n}`, entries) })) as PushAnswer;
      step = 'push answer';
      return pushed.ok;
    };
    const pushUntilStored = async (): Promise<boolean> => {
      while (!signal.aborted) if (await push().catch(() => false)) return true;
      return false;
    };
    if (!(await (patient ? pushUntilStored() : push()))) throw new Error('The hub did not store the push.');
    return { ms: performance.now() - startedMs };
  } catch (error) {
    if (step === 'dial') barriers.pull.arrive();
    if (step === 'dial' || step === 'pull') barriers.push.arrive();
    const failure = `${step.replace(/ after .*/, '')}: ${error instanceof Error ? error.message : String(error)}`;
    return { ms: performance.now() - startedMs, failure };
  }
}

async function register(tracker: string, peerId: string, deviceId: string): Promise<void> {
  const response = await fetch(`${tracker}/api/v1/peers/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ peer_id: peerId, addrs: [], meta: { user_id: USER, device_id: deviceId } }),
  });
  if (!response.ok) throw new Error(`The tracker answered ${response.status}.`);
  await response.arrayBuffer();
}

/** Starts the hub, and resolves when it is registered with a circuit. */
async function startHub(tracker: string, relay: string) {
  const container = createContainer(hubMiB, 'hub');
  const hub = startProgram('hub', currentBundle('peer'), {
    args: ['hub'],
    under: container.under,
    env: {
      ...container.env,
      ...hubEnvironment(folder, { tracker: { url: tracker }, relay: { address: relay } }),
      RUSTORY_USER_ID: USER,
      RUSTORY_LISTEN: 'none',
    },
  });
  onCleanup(async () => {
    await hub.stop();
    container.remove();
  });
  await hub.waitFor('registered', ({ addrs }) => JSON.stringify(addrs).includes('p2p-circuit'));
  const peerId = String(hub.logged('node started')[0]?.['peerId']);
  return { hub, container, address: `${relay}/p2p-circuit/p2p/${peerId}` };
}

/** The outcomes of circuits, pulls and pushes that relay and hub counted. */
async function outcomesOf(ops: string): Promise<string> {
  const text = await (await fetch(`http://${ops}/metrics`)).text();
  const lines = text.split('\n').filter((line) => OUTCOMES.test(line) && !line.endsWith(' 0'));
  return lines.map((line) => line.replace(/^rustory_(relay|hub)_/, '')).join(', ');
}

const OUTCOMES = /^rustory_(relay_circuit_requests|relay_handshakes|hub_pulls|hub_pushes)[a-z_]*_total\{/;

function median(values: readonly number[], share = 0.5): string {
  const sorted = values.toSorted((a, b) => a - b);
  return ((sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN) / 1_000).toFixed(2);
}

try {
  // Registrations that last longer than the measurement.
  const tracker = await startTracker({ env: { TRACKER_TTL_SECONDS: '600' } });
  onCleanup(async () => tracker.stop());
  const container = createContainer(relayMiB, 'relay');
  const relay = await startRelay(folder, { under: container.under, env: container.env });
  onCleanup(async () => {
    await relay.stop();
    container.remove();
  });
  const { hub, container: hubContainer, address } = await startHub(tracker.url, relay.address);
  const key = readSwarmKey(join(folder, 'swarm.key'));
  const nodes: Libp2p[] = [];
  for (let n = 0; n < devices; n += 1) {
    const node = await startDevice(key, undefined, { handshakeMs: SYNC_MS });
    await register(tracker.url, node.peerId.toString(), `device${n}`);
    nodes.push(node);
  }
  say(`hub before: ${residentMiB(hub).toFixed(0)} MiB resident, container ${hubContainer.peak()}`);
  const before = { relay: cpuSeconds(relay), hub: cpuSeconds(hub) };
  const startedMs = performance.now();
  const outcomes = await Promise.all(nodes.map(async (node, n) => sync(node, n, address)));
  const seconds = (performance.now() - startedMs) / 1_000;
  const failures = Map.groupBy(
    outcomes.flatMap(({ failure }) => failure ?? []),
    (failure) => failure,
  );
  const times = outcomes.filter(({ failure }) => failure === undefined).map(({ ms }) => ms);
  say(`devices: ${devices}, served at the first try: ${times.length}, in ${seconds.toFixed(1)} s`);
  for (const [failure, all] of failures) say(`  ${all.length} failed: ${failure}`);
  say(`a sync: median ${median(times)} s, p95 ${median(times, 0.95)} s, maximum ${median(times, 1)} s`);
  for (const [name, process, peak] of [
    ['relay', relay, container.peak()],
    ['hub', hub, hubContainer.peak()],
  ] as const) {
    const cpu = cpuSeconds(process) - before[name];
    say(
      `${name}: CPU ${cpu.toFixed(2)} s, ${((cpu / devices) * 1_000).toFixed(1)} ms per device; ` +
        `${residentMiB(process).toFixed(0)} MiB resident, container ${peak}`,
    );
  }
  const { address: hubOps } = await hub.waitFor('ops listening');
  for (const ops of [relay.ops, String(hubOps)]) say(`counted: ${await outcomesOf(ops)}`);
  await Promise.all(nodes.map(async (node) => node.stop()));
} finally {
  await cleanUp();
}
