// `node e2e/load/stalled.ts [CIRCUITS [PER_DEVICE [LIMIT_MIB [BUFFER_MIB]]]]`: circuits whose receivers never read,
// PER_DEVICE for each pair of devices, together with a normal circuit. With LIMIT_MIB the relay has the memory limit of
// a container. Prints the memory of the relay and the throughput of the normal circuit.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Stream } from '@libp2p/interface';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
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
onCleanup(() => rmSync(folder, { recursive: true }));
const container = createContainer(limitMiB);
onCleanup(container.remove);
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
onCleanup(relay.stop);
const key = readSwarmKey(join(folder, 'swarm.key'));
const chunk = randomBytes(64 * 1024);
const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** The throughput of a normal circuit, in MB/s. */
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
  const startedMs = performance.now();
  await sendBytes(stream, chunk, PROBE_BYTES);
  await until(() => received >= PROBE_BYTES, 'the bytes have arrived');
  const seconds = (performance.now() - startedMs) / 1000;
  await Promise.all([source.stop(), target.stop()]);
  return PROBE_BYTES / 1e6 / seconds;
}

try {
  say(`idle: ${residentMiB(relay).toFixed(0)} MiB, one circuit alone ${(await probe()).toFixed(0)} MB/s`);
  const streams: Stream[] = [];
  for (let opened = 0; opened < circuits; opened += perDevice) {
    const [source, target] = [await startDevice(key), await startDevice(key, relay)];
    for (const device of [source, target]) onCleanup(async () => device.stop());
    await acceptAndNeverRead(target);
    for (let count = 0; count < perDevice && opened + count < circuits; count += 1) {
      streams.push(await openBareCircuit(relay, source, target));
    }
  }
  for (const stream of streams) flood(stream);
  let previous = -1;
  await until(async () => {
    const relayed = await metric(relay, 'rustory_relay_relayed_bytes_total{direction="to_target"}');
    const isStill = relayed === previous;
    previous = relayed;
    await new Promise((resolve) => {
      setTimeout(resolve, 500);
    });
    return isStill;
  }, 'no byte is relayed');
  const waiting = (await metric(relay, 'rustory_relay_buffered_bytes')) / 1024 / 1024;
  say(
    `${await metric(relay, 'rustory_relay_circuits')} stalled circuits: ${residentMiB(relay).toFixed(0)} MiB, of which ${waiting.toFixed(0)} MiB wait`,
  );
  say(`one more circuit: ${(await probe()).toFixed(0)} MB/s, ${residentMiB(relay).toFixed(0)} MiB`);
  say(`container: ${container.peak()}`);
} finally {
  await cleanUp();
}
