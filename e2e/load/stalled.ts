// `node e2e/load/stalled.ts [CIRCUITS [PER_DEVICE [LIMIT_MIB [BUFFER_MIB]]]]`: circuits whose receivers never read, so many
// of each device, and one more that behaves; the relay under the memory limit of a container, where one is given.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Libp2p, Stream } from '@libp2p/interface';
import { until } from '../../testing/wait.ts';
import { readSwarmKey } from '../../services/private-network/key.ts';
import { startRelay } from '../../scripts/local-network.ts';
import { createContainer } from '../../testing/container.ts';
import {
  acceptAndNeverRead,
  dialThrough,
  flood,
  metric,
  openBareCircuit,
  sendBytes,
  startDevice,
} from '../../testing/load-devices.ts';
import { residentMiB } from '../../testing/process-usage.ts';

const [circuits = 200, perDevice = 20, limitMiB = 0, bufferMiB = 32] = process.argv.slice(2).map(Number);
const SINK = '/test/sink/1.0.0';
const PROBE_BYTES = 64 * 1024 * 1024;

const folder = mkdtempSync(join(tmpdir(), 'rustory-load-'));
const container = createContainer(limitMiB);
const relay = await startRelay(folder, {
  under: container.under,
  env: {
    ...container.env,
    RELAY_MAX_CONNECTIONS: '4096',
    RELAY_MAX_CIRCUITS: '4096',
    RELAY_MAX_RESERVATIONS: '4096',
    RELAY_CIRCUIT_BYTES: String(1024 ** 3),
    RELAY_BUFFER_BYTES: String(bufferMiB * 1024 * 1024),
  },
});
const key = readSwarmKey(join(folder, 'swarm.key'));
const chunk = randomBytes(64 * 1024);
const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function probe(): Promise<number> {
  const [source, target] = [await startDevice(key), await startDevice(key, relay)];
  let received = 0;
  await target.handle(
    SINK,
    (stream) => {
      stream.addEventListener('message', ({ data }) => (received += data.byteLength));
    },
    { runOnLimitedConnection: true },
  );
  const stream = await dialThrough(relay, source, target, SINK);
  const started = performance.now();
  await sendBytes(stream, chunk, PROBE_BYTES);
  await until(() => received >= PROBE_BYTES, 'the probe has arrived', 120_000);
  const seconds = (performance.now() - started) / 1000;
  await Promise.all([source.stop(), target.stop()]);
  return PROBE_BYTES / 1e6 / seconds;
}

try {
  say(
    `at rest ${residentMiB(relay).toFixed(0)} MiB; a circuit alone moves ${(await probe()).toFixed(0)} MB/s`,
  );
  const nodes: Libp2p[] = [];
  const streams: Stream[] = [];
  for (let opened = 0; opened < circuits; opened += perDevice) {
    const [source, target] = [await startDevice(key), await startDevice(key, relay)];
    nodes.push(source, target);
    await acceptAndNeverRead(target);
    for (let at = 0; at < perDevice && opened + at < circuits; at += 1) {
      streams.push(await openBareCircuit(relay, source, target));
    }
  }
  for (const stream of streams) flood(stream);
  let last = -1;
  await until(
    async () => {
      const now = await metric(relay, 'rustory_relay_relayed_bytes_total{direction="to_target"}');
      const isStill = now === last;
      last = now;
      await new Promise((resolve) => {
        setTimeout(resolve, 500);
      });
      return isStill;
    },
    'nothing moves any more',
    120_000,
  );
  const waiting = (await metric(relay, 'rustory_relay_buffered_bytes')) / 1024 / 1024;
  say(
    `${await metric(relay, 'rustory_relay_circuits')} circuits whose receivers never read: ${residentMiB(relay).toFixed(0)} MiB, ${waiting.toFixed(0)} MiB of it waiting`,
  );
  say(
    `one more circuit moves ${(await probe()).toFixed(0)} MB/s; ${residentMiB(relay).toFixed(0)} MiB resident`,
  );
  say(`in all: ${container.peak()}`);
} finally {
  await relay.stop();
  container.remove();
  rmSync(folder, { recursive: true });
}
process.exit();
