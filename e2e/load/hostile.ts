// `node e2e/load/hostile.ts [CONNECTIONS [PER_SECOND]]`: floods of connections that say nothing, say garbage, or say one byte a second,
// against a relay with its default limits; what its memory does, and how long a device takes to get in meanwhile.
import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../../testing/wait.ts';
import { readSwarmKey } from '../../services/private-network/key.ts';
import { startRelay } from '../../scripts/local-network.ts';
import {
  authenticate,
  connectRaw,
  garbage,
  GREETING,
  AUTHENTICATED_KINDS,
  UNAUTHENTICATED_KINDS,
} from '../../testing/attacks.ts';
import { metric, reserve, startDevice } from '../../testing/load-devices.ts';
import { cpuSeconds, residentMiB } from '../../testing/process-usage.ts';

const [connections = 20_000, perSecond = 1_000] = process.argv.slice(2).map(Number);
/** How often connections begin, in milliseconds. */
const PAUSE_MS = 25;

const folder = mkdtempSync(join(tmpdir(), 'rustory-load-'));
const relay = await startRelay(folder);
const key = readSwarmKey(join(folder, 'swarm.key'));
const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function pause(milliseconds: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}

/** How long a new device takes to connect and to reserve, in milliseconds. */
async function enter(): Promise<number> {
  const began = performance.now();
  const device = await startDevice(key);
  const status = await reserve(device, relay);
  if (status !== 'OK') throw new Error(`a device was answered ${status}`);
  const took = performance.now() - began;
  await device.stop();
  return took;
}

/** Runs an attack while devices come in, one after the other, and says how both fared. */
async function attack(
  name: string,
  count: number,
  begin: (socket: Socket, at: number) => void,
): Promise<void> {
  const [memory, cpu, began] = [residentMiB(relay), cpuSeconds(relay), performance.now()];
  const sockets: Socket[] = [];
  const entered: number[] = [];
  const progress = { isOver: false, failed: 0 };
  const devices = (async () => {
    while (!progress.isOver) {
      try {
        entered.push(await enter());
      } catch {
        progress.failed += 1;
      }
    }
  })();
  while (sockets.length < count) {
    for (let at = 0; at < (perSecond * PAUSE_MS) / 1000; at += 1) {
      const socket = connectRaw(relay);
      begin(socket, sockets.push(socket));
    }
    await pause(PAUSE_MS);
  }
  const seconds = (performance.now() - began) / 1000;
  progress.isOver = true;
  await devices;
  for (const socket of sockets) socket.destroy();
  await until(
    async () => (await metric(relay, 'rustory_relay_pending_connections')) === 0,
    'all are gone',
    60_000,
  );
  const used = cpuSeconds(relay) - cpu;
  const sorted = entered.toSorted((a, b) => a - b);
  say(
    `${name}: ${count} in ${seconds.toFixed(0)} s, ${((used / count) * 1000).toFixed(2)} ms of CPU each; ` +
      `${entered.length} devices came in meanwhile, in ${sorted[sorted.length >> 1]?.toFixed(0)} ms, the slowest ${sorted.at(-1)?.toFixed(0)} ms, ${progress.failed} did not; ` +
      `memory ${memory.toFixed(0)} → ${residentMiB(relay).toFixed(0)} MiB`,
  );
}

try {
  await Promise.all([enter(), enter()]);
  await attack('silence', connections, () => {});
  await attack(
    'garbage',
    connections,
    (socket, at) => void socket.write(garbage(key, at % UNAUTHENTICATED_KINDS)),
  );
  await attack('garbage behind the swarm key', connections / 10, (socket, at) => {
    socket.write(garbage(key, UNAUTHENTICATED_KINDS + (at % AUTHENTICATED_KINDS)));
  });
  const bytes = authenticate(key, GREETING);
  await attack('one byte a second', connections / 10, (socket) => {
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
  await relay.stop();
  rmSync(folder, { recursive: true });
}
process.exit();
