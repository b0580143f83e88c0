// `node e2e/load/bulk.ts [GIB [ROUND_TRIP_MS]]`: one circuit without a byte limit, between devices with a given round-trip
// time to the relay. Prints the throughput and the memory and CPU time of the relay.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startProxy } from '../../testing/proxy.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { until } from '../../testing/wait.ts';
import { readSwarmKey } from '../../services/private-network/key.ts';
import { startRelay } from '../../scripts/local-network.ts';
import { dialThrough, sendBytes, startDevice } from '../../testing/load-devices.ts';
import { cpuSeconds, residentMiB } from '../../testing/process-usage.ts';

const [gib = 4, roundTripMs = 0] = process.argv.slice(2).map(Number);
const SINK = '/test/sink/1.0.0';
const total = Math.round(gib * 1024 ** 3);

const folder = mkdtempSync(join(tmpdir(), 'rustory-load-'));
onCleanup(() => rmSync(folder, { recursive: true }));
const relay = await startRelay(folder, {
  env: { RELAY_CIRCUIT_BYTES: String(2 * total), RELAY_CIRCUIT_SECONDS: '3600' },
});
onCleanup(relay.stop);
const key = readSwarmKey(join(folder, 'swarm.key'));
try {
  const proxy = await startProxy(relay, roundTripMs / 2);
  const route = roundTripMs === 0 ? relay : proxy;
  const [source, target] = [await startDevice(key), await startDevice(key, route)];
  for (const device of [source, target]) onCleanup(async () => device.stop());
  let received = 0;
  await target.handle(
    SINK,
    (stream) => {
      stream.addEventListener('message', ({ data }) => (received += data.byteLength));
    },
    { runOnLimitedConnection: true },
  );
  const stream = await dialThrough(route, source, target, SINK);
  const samples = [residentMiB(relay)];
  const cpuBefore = cpuSeconds(relay);
  const startedMs = performance.now();
  const timer = setInterval(() => samples.push(residentMiB(relay)), 250);
  await sendBytes(stream, randomBytes(64 * 1024), total);
  await until(() => received >= total, 'all bytes have arrived');
  clearInterval(timer);
  const seconds = (performance.now() - startedMs) / 1000;
  const cpu = cpuSeconds(relay) - cpuBefore;
  process.stdout.write(
    `bytes: ${gib} GiB in ${seconds.toFixed(0)} s, ${(total / 1e6 / seconds).toFixed(0)} MB/s\n` +
      `relay CPU: ${(cpu / (total / 1e9)).toFixed(1)} s per GB\n` +
      `relay memory: ${samples[0]?.toFixed(0)} MiB before, ${Math.max(...samples).toFixed(0)} MiB maximum, ${residentMiB(relay).toFixed(0)} MiB after\n`,
  );
} finally {
  await cleanUp();
}
