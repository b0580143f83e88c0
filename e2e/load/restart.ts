// `node e2e/load/restart.ts [DEVICES [LIMIT_MIB]]`: many devices hold reservations on a relay that is killed and
// started again at the same port. Each device reserves again as `rr` does: 5, 10, 20, 40, 60 seconds after a loss or a
// refusal, without jitter and without a deadline for the handshake, so all of them connect in the same second. Prints
// the time until all are back, what the relay refused, its CPU time, and how long its probes took meanwhile.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Relay, startRelay } from '../../scripts/local-network.ts';
import { startProgram } from '../../scripts/processes.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { createContainer } from '../../testing/container.ts';
import { metric } from '../../testing/load-devices.ts';
import { cpuSeconds, residentMiB } from '../../testing/process-usage.ts';
import { until } from '../../testing/wait.ts';
import type { ReconnectingDevices } from '../../testing/programs/reconnecting-devices.ts';

const [devices = 2_000, limitMiB = 0] = process.argv.slice(2).map(Number);
const DEVICES_PROGRAM = join(import.meta.dirname, '../../testing/programs/reconnecting-devices.ts');
const PROBE_INTERVAL_MS = 100;
const DEADLINE_MS = 600_000;

const folder = mkdtempSync(join(tmpdir(), 'rustory-load-'));
onCleanup(() => rmSync(folder, { recursive: true }));
const container = createContainer(limitMiB);
onCleanup(container.remove);
const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** Variables of the caller that override defaults of the relay. */
const overrides = Object.fromEntries(
  Object.entries(process.env).flatMap(([name, value = '']) =>
    name.startsWith('RELAY_MAX_') ? [[name, value]] : [],
  ),
);

/** Starts a relay; the second one listens where the first did. */
async function start(previous?: Relay): Promise<Relay> {
  const [, , , , port = '0'] = previous?.address.split('/') ?? [];
  const relay = await startRelay(folder, {
    under: container.under,
    env: {
      ...container.env,
      ...overrides,
      RELAY_LISTEN: `/ip4/127.0.0.1/tcp/${port}`,
      RELAY_OPS_LISTEN: previous?.ops ?? '127.0.0.1:0',
    },
  });
  onCleanup(relay.stop);
  return relay;
}

/** Requests /readyz until it is stopped; the relay must stay ready. */
function probe({ ops }: Relay): { stop(): string } {
  const durationsMs: number[] = [];
  let failed = 0;
  async function once(): Promise<void> {
    const startedMs = performance.now();
    const response = await fetch(`http://${ops}/readyz`).catch(() => undefined);
    await response?.arrayBuffer();
    durationsMs.push(performance.now() - startedMs);
    if (response?.status !== 200) failed += 1;
  }
  const timer = setInterval(() => void once(), PROBE_INTERVAL_MS);
  return {
    stop() {
      clearInterval(timer);
      const sorted = durationsMs.toSorted((a, b) => a - b);
      const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(0);
      return `${sorted.length} probes, ${failed} failed; median ${at(0.5)}, 95 % ${at(0.95)}, maximum ${at(1)} ms`;
    },
  };
}

async function reserved(relay: Relay): Promise<number> {
  return metric(relay, 'rustory_relay_reservations');
}

async function refusals(relay: Relay): Promise<string> {
  const text = await (await fetch(`http://${relay.ops}/metrics`)).text();
  const wanted = /^rustory_relay_(handshakes|connections_refused|reservation_requests)_total\{.*\} [1-9]/;
  return text
    .split('\n')
    .filter((line) => wanted.test(line))
    .map((line) => line.replace(/^rustory_relay_/, ''))
    .join(', ');
}

try {
  const first = await start();
  let state: ReconnectingDevices | undefined;
  const program = startProgram('devices', DEVICES_PROGRAM, {
    args: [join(folder, 'swarm.key'), first.address, String(devices)],
    onLine: (line, stream) =>
      void (stream === 'stdout' ? (state = JSON.parse(line)) : process.stderr.write(`${line}\n`)),
  });
  onCleanup(program.stop);
  await until(
    async () => state?.reserved === devices && (await reserved(first)) === devices,
    'all devices have a reservation',
    DEADLINE_MS,
  );
  say(`${devices} devices have a reservation: ${residentMiB(first).toFixed(0)} MiB`);
  first.kill('SIGKILL');
  const killedMs = Date.now();
  await first.exited;
  const second = await start(first);
  say(`restarted ${Date.now() - killedMs} ms after the kill`);
  const probes = probe(second);
  await until(
    async () => state?.reserved === devices && (await reserved(second)) === devices,
    'all devices are back',
    DEADLINE_MS,
  );
  const { attempts, backMs, firstAttemptMs, lastAttemptMs } = state as unknown as ReconnectingDevices;
  const sorted = backMs.toSorted((a, b) => a - b);
  const after = (share: number): string =>
    (((sorted[Math.floor(share * (sorted.length - 1))] ?? 0) - firstAttemptMs) / 1000).toFixed(1);
  say(
    `first attempts: ${firstAttemptMs - killedMs} ms after the kill, within ${lastAttemptMs - firstAttemptMs} ms`,
  );
  say(`back after the first attempt: half ${after(0.5)}, 95 % ${after(0.95)}, all ${after(1)} s`);
  say(`attempts: ${attempts} of ${devices} devices`);
  say(`relay: ${cpuSeconds(second).toFixed(1)} s of CPU, ${residentMiB(second).toFixed(0)} MiB`);
  say(`/readyz: ${probes.stop()}`);
  say(await refusals(second));
  say(`container: ${container.peak()}`);
} finally {
  await cleanUp();
}
