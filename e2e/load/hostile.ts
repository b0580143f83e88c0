// `node e2e/load/hostile.ts [CONNECTIONS [PER_SECOND]]`: floods of connections that send nothing, garbage, or one byte
// per second, against a relay with its default limits. Prints the memory of the relay, and how long devices need to
// reserve meanwhile.
import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { until } from '../../testing/wait.ts';
import { readSwarmKey } from '../../services/private-network/key.ts';
import { startRelay } from '../../scripts/local-network.ts';
import {
  authenticate,
  connectRaw,
  garbage,
  AUTHENTICATED_KINDS,
  UNAUTHENTICATED_KINDS,
} from '../../testing/attacks.ts';
import { GREETING } from '../../testing/stock-psk.ts';
import { metric, reserve, startDevice } from '../../testing/load-devices.ts';
import { cpuSeconds, residentMiB } from '../../testing/process-usage.ts';

const [connections = 20_000, perSecond = 1_000] = process.argv.slice(2).map(Number);
/** Interval between two batches of connections, in milliseconds. */
const BATCH_INTERVAL_MS = 25;

const folder = mkdtempSync(join(tmpdir(), 'rustory-load-'));
onCleanup(() => rmSync(folder, { recursive: true }));
const relay = await startRelay(folder);
onCleanup(relay.stop);
const key = readSwarmKey(join(folder, 'swarm.key'));
const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** The time that a new device needs to connect and reserve, in milliseconds. */
async function connectDevice(): Promise<number> {
  const startedMs = performance.now();
  const device = await startDevice(key);
  const status = await reserve(device, relay);
  if (status !== 'OK') throw new Error(`The relay responded to RESERVE with ${status}.`);
  const durationMs = performance.now() - startedMs;
  await device.stop();
  return durationMs;
}

/** Runs an attack while devices connect one after the other, and prints the results of both. */
async function attack(
  name: string,
  count: number,
  begin: (socket: Socket, index: number) => void,
): Promise<void> {
  const [memory, cpuBefore, startedMs] = [residentMiB(relay), cpuSeconds(relay), performance.now()];
  const sockets: Socket[] = [];
  const connectedMs: number[] = [];
  const progress = { isOver: false, failed: 0 };
  const devices = (async () => {
    while (!progress.isOver) {
      try {
        connectedMs.push(await connectDevice());
      } catch {
        progress.failed += 1;
      }
    }
  })();
  while (sockets.length < count) {
    for (let opened = 0; opened < (perSecond * BATCH_INTERVAL_MS) / 1000; opened += 1) {
      const socket = connectRaw(relay);
      begin(socket, sockets.push(socket));
    }
    await sleep(BATCH_INTERVAL_MS);
  }
  const seconds = (performance.now() - startedMs) / 1000;
  progress.isOver = true;
  await devices;
  for (const socket of sockets) socket.destroy();
  await until(
    async () => (await metric(relay, 'rustory_relay_pending_connections')) === 0,
    'no handshake is pending',
  );
  const cpu = cpuSeconds(relay) - cpuBefore;
  const sorted = connectedMs.toSorted((a, b) => a - b);
  say(
    `${name}: ${count} connections in ${seconds.toFixed(0)} s, ${((cpu / count) * 1000).toFixed(2)} ms of CPU each; ` +
      `devices: ${connectedMs.length} connected, median ${sorted[sorted.length >> 1]?.toFixed(0)} ms, maximum ${sorted.at(-1)?.toFixed(0)} ms, ${progress.failed} failed; ` +
      `memory: ${memory.toFixed(0)} MiB before, ${residentMiB(relay).toFixed(0)} MiB after`,
  );
}

try {
  await Promise.all([connectDevice(), connectDevice()]);
  await attack('silence', connections, () => {});
  await attack(
    'garbage',
    connections,
    (socket, index) => void socket.write(garbage(key, index % UNAUTHENTICATED_KINDS)),
  );
  await attack('garbage after authentication', connections / 10, (socket, index) => {
    socket.write(garbage(key, UNAUTHENTICATED_KINDS + (index % AUTHENTICATED_KINDS)));
  });
  const bytes = authenticate(key, GREETING);
  await attack('one byte per second', connections / 10, (socket) => {
    let sent = 0;
    const drip = setInterval(() => {
      if (socket.writable) socket.write(bytes.subarray(sent, (sent += 1)));
    }, 1_000);
    socket.on('close', () => clearInterval(drip));
  });
  const text = await (await fetch(`http://${relay.ops}/metrics`)).text();
  for (const line of text.match(/^rustory_relay_(handshakes|connections_refused)_total.*$/gm) ?? [])
    say(line);
} finally {
  await cleanUp();
}
