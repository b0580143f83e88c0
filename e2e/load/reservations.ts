// `node e2e/load/reservations.ts [DEVICES [MINUTES [CHURN [LIMIT_MIB]]]]`: holds many idle reservations and closes them
// at the same time; then CHURN devices connect, reserve and disconnect. Prints the memory of the relay.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Libp2p } from '@libp2p/interface';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { until } from '../../testing/wait.ts';
import { readSwarmKey } from '../../services/private-network/key.ts';
import { startRelay } from '../../scripts/local-network.ts';
import { createContainer } from '../../testing/container.ts';
import { metric, reserve, startDevice } from '../../testing/load-devices.ts';
import { residentMiB } from '../../testing/process-usage.ts';

const [devices = 2_000, minutes = 10, churn = 20_000, limitMiB = 0] = process.argv.slice(2).map(Number);
const CONCURRENCY = 16;
const SAMPLE_INTERVAL_MS = 15_000;

const folder = mkdtempSync(join(tmpdir(), 'rustory-load-'));
onCleanup(() => rmSync(folder, { recursive: true }));
const container = createContainer(limitMiB);
onCleanup(container.remove);
const relay = await startRelay(folder, {
  under: container.under,
  env: {
    ...container.env,
    RELAY_MAX_RESERVATIONS: '8192',
    RELAY_MAX_CONNECTIONS: '8192',
    RELAY_IDLE_SECONDS: '3600',
  },
});
onCleanup(relay.stop);
const key = readSwarmKey(join(folder, 'swarm.key'));
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const memory = (): string => `${residentMiB(relay).toFixed(0)} MiB`;

/** Runs the work `count` times, a few at the same time. */
async function repeat(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      next += 1;
      await work(next);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
}

try {
  say(`idle: ${memory()}`);
  const nodes: Libp2p[] = [];
  await repeat(devices, async () => {
    const node = await startDevice(key);
    const status = await reserve(node, relay);
    if (status !== 'OK') throw new Error(`The relay responded to RESERVE with ${status}.`);
    nodes.push(node);
  });
  say(`${await metric(relay, 'rustory_relay_reservations')} reservations: ${memory()}`);
  const samples: number[] = [];
  for (const end = Date.now() + minutes * 60_000; Date.now() < end;) {
    await new Promise((resolve) => {
      setTimeout(resolve, Math.min(SAMPLE_INTERVAL_MS, end - Date.now()));
    });
    samples.push(residentMiB(relay));
  }
  say(
    `held for ${minutes} min: minimum ${Math.min(...samples).toFixed(0)}, maximum ${Math.max(...samples).toFixed(0)}, end ${memory()}`,
  );
  await Promise.all(nodes.map(async (node) => node.stop()));
  const closedMs = performance.now();
  await until(
    async () => (await metric(relay, 'rustory_relay_reservations')) === 0,
    'all reservations are released',
  );
  say(`released: ${Math.round(performance.now() - closedMs)} ms after the last disconnect, ${memory()}`);

  const before = residentMiB(relay);
  const startedMs = performance.now();
  await repeat(churn, async (index) => {
    const node = await startDevice(key);
    await reserve(node, relay);
    await node.stop();
    if (index % 5_000 === 0) say(`  ${index} of ${churn}: ${memory()}`);
  });
  const seconds = (performance.now() - startedMs) / 1000;
  await until(
    async () => (await metric(relay, 'rustory_relay_reservations')) === 0,
    'all reservations are released',
  );
  say(`${churn} devices in ${seconds.toFixed(0)} s: ${before.toFixed(0)} MiB before, ${memory()} after`);
  say(`container: ${container.peak()}`);
} finally {
  await cleanUp();
}
