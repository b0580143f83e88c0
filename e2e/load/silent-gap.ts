// `node e2e/load/silent-gap.ts [SECONDS]`: interrupts the network of four devices without an error on either side, and
// prints when each one can be reached again and whether it kept its connection. As root, on Linux. The results are in
// `docs/decisions/quiet-connections.md`.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startRelay } from '../../scripts/local-network.ts';
import { type Running, startProgram } from '../../scripts/processes.ts';
import { readSwarmKey } from '../../services/private-network/key.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { connectStatus, startDevice } from '../../testing/load-devices.ts';
import { createNamespace } from '../../testing/namespace.ts';

const DEVICE = join(import.meta.dirname, '../../testing/programs/pinging-device.ts');
/** The kernel of a device with this many retransmissions does not give up within an hour. */
const RETRANSMISSIONS = 35;
const POLL_MS = 5_000;

/** The devices: the pause between their pings, and the seconds of the gap at which another one asks for them. */
const DEVICES = [
  { name: 'no pings, asked at 1 s', pingSeconds: 0, askAt: [1] },
  { name: 'no pings, asked at half of the gap', pingSeconds: 0, askAt: [0.5] },
  { name: 'pings, not asked', pingSeconds: 5, askAt: [] },
  { name: 'pings, asked at 1 s and 60 s', pingSeconds: 5, askAt: [1, 60] },
];

const seconds = Number(process.argv[2] ?? 900);
const folder = mkdtempSync(join(tmpdir(), 'rustory-gap-'));
onCleanup(() => rmSync(folder, { recursive: true }));

try {
  await main();
} finally {
  await cleanUp();
}

async function main(): Promise<void> {
  const namespace = createNamespace();
  onCleanup(namespace.remove);
  spawnSync(namespace.under[0] ?? '', [
    ...namespace.under.slice(1),
    'sysctl',
    '-w',
    `net.ipv4.tcp_retries2=${RETRANSMISSIONS}`,
  ]);
  const relay = await startRelay(folder, {
    env: { RELAY_LISTEN: `/ip4/${namespace.host}/tcp/0`, LOG_LEVEL: 'debug' },
  });
  onCleanup(relay.stop);
  const key = readSwarmKey(join(folder, 'swarm.key'));
  const devices = await Promise.all(
    DEVICES.map(async ({ name, pingSeconds, askAt }) => {
      const running = startProgram('device', DEVICE, {
        under: namespace.under,
        args: [join(folder, 'swarm.key'), relay.address, String(pingSeconds)],
      });
      onCleanup(running.stop);
      const { peerId } = await running.waitFor('reserved');
      return { name, askAt, running, peerId: String(peerId) };
    }),
  );
  const source = await startDevice(key);
  onCleanup(async () => source.stop());

  const connect = async (peerId: string): Promise<string> =>
    String(await connectStatus(relay, source, peerId));

  /** Reports how long a device was not reached after the gap, and what was kept. */
  async function measure(device: { name: string; peerId: string; running: Running }): Promise<void> {
    const startedMs = performance.now();
    while ((await connect(device.peerId)) !== 'OK' && performance.now() - startedMs < 400_000)
      await sleep(POLL_MS);
    const isKept = device.running.logged('closed').length === 0;
    const reservations = relay.logged('reserved').filter((line) => line['peer'] === device.peerId).length;
    const after = Math.round((performance.now() - startedMs) / 1000);
    process.stdout.write(
      `${device.name}: reached ${after} s after a gap of ${seconds} s, connection ${isKept ? 'kept' : 'closed'}, ${reservations} reservation(s)\n`,
    );
  }

  for (const { peerId } of devices) process.stdout.write(`before: ${await connect(peerId)}\n`);
  namespace.cut();
  const requests = devices.flatMap(({ name, peerId, askAt }) =>
    askAt.map(async (at) => {
      await sleep((at < 1 ? at * seconds : at) * 1000);
      const startedMs = performance.now();
      const status = await connect(peerId);
      const tookSeconds = ((performance.now() - startedMs) / 1000).toFixed(1);
      process.stdout.write(`${name}: during the gap ${status} after ${tookSeconds} s\n`);
    }),
  );
  await sleep(seconds * 1000);
  await Promise.all(requests);
  namespace.restore();
  await Promise.all(devices.map(measure));
}
