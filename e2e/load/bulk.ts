// `node e2e/load/bulk.ts [GIB [ROUND_TRIP_MS]]`: one circuit with the byte limit lifted, of devices as far from the relay as
// that; what the relay's memory and CPU time do.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { multiaddr } from '@multiformats/multiaddr';
import { startProxy } from '../../testing/proxy.ts';
import { until } from '../../testing/wait.ts';
import { readSwarmKey } from '../../services/private-network/key.ts';
import { startRelay } from '../../scripts/local-network.ts';
import { dialThrough, sendBytes, startDevice } from '../../testing/load-devices.ts';
import { cpuSeconds, residentMiB } from '../../testing/process-usage.ts';

const [gib = 4, roundTripMs = 0] = process.argv.slice(2).map(Number);
const SINK = '/test/sink/1.0.0';
const total = gib * 1024 ** 3;

const folder = mkdtempSync(join(tmpdir(), 'rustory-load-'));
const relay = await startRelay(folder, {
  env: { RELAY_CIRCUIT_BYTES: String(2 * total), RELAY_CIRCUIT_SECONDS: '3600' },
});
const key = readSwarmKey(join(folder, 'swarm.key'));
try {
  const proxy = await startProxy({ address: multiaddr(relay.address) }, roundTripMs / 2);
  const line = roundTripMs === 0 ? relay : { address: proxy.address.toString() };
  const [source, target] = [await startDevice(key), await startDevice(key, line)];
  let received = 0;
  await target.handle(
    SINK,
    (stream) => {
      stream.addEventListener('message', ({ data }) => (received += data.byteLength));
    },
    { runOnLimitedConnection: true },
  );
  const stream = await dialThrough(line, source, target, SINK);
  const samples = [residentMiB(relay)];
  const cpu = cpuSeconds(relay);
  const started = performance.now();
  const timer = setInterval(() => samples.push(residentMiB(relay)), 250);
  await sendBytes(stream, randomBytes(64 * 1024), total);
  await until(() => received === total, 'all has arrived', 60_000);
  clearInterval(timer);
  const seconds = (performance.now() - started) / 1000;
  const used = cpuSeconds(relay) - cpu;
  process.stdout.write(
    `${gib} GiB in ${seconds.toFixed(0)} s, ${(total / 1e6 / seconds).toFixed(0)} MB/s (both ends in one process), relay: ${(used / (total / 1e9)).toFixed(1)} CPU-s per GB, ` +
      `memory ${samples[0]?.toFixed(0)} MiB before, ${Math.max(...samples).toFixed(0)} MiB at most, ${residentMiB(relay).toFixed(0)} MiB after\n`,
  );
} finally {
  await relay.stop();
  rmSync(folder, { recursive: true });
}
process.exit();
