// `node bench/relay/costs.ts [COUNT [LIMIT_MIB]]`: what a pending handshake, a connection, a reservation and an idle circuit add to
// the memory of the relay, each measured with COUNT of them. Needs `npm run build`.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { acceptCircuits, Device, openCircuit, parseRelay, ping, reserve, STOP } from '../endpoints/device.ts';
import type { Session } from '../endpoints/mux.ts';
import { propose } from '../endpoints/multistream.ts';
import { PipeReader } from '../endpoints/pipe.ts';
import { PskPipe, readKey } from '../endpoints/psk.ts';
import { dialTcp } from '../endpoints/socket.ts';
import { startProgram } from '../../scripts/processes.ts';
import { createSwarmKeyFile } from '../../services/private-network/key.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { createContainer } from '../../testing/container.ts';
import { residentMiB } from '../../testing/process-usage.ts';

const [count = 2_000, limitMiB = 0] = process.argv.slice(2).map(Number);
const CONCURRENCY = 16;

/** Until memory that is not used is returned to the system, in milliseconds. */
const SETTLE_MS = 5_000;

const folder = mkdtempSync(join(tmpdir(), 'rustory-costs-'));
onCleanup(() => rmSync(folder, { recursive: true }));
const keyFile = join(folder, 'swarm.key');
createSwarmKeyFile(keyFile);
const container = createContainer(limitMiB);
onCleanup(container.remove);
const relay = startProgram('relay', 'dist/relay.js', {
  under: container.under,
  env: {
    NODE_OPTIONS: '--max-old-space-size-percentage=50 --max-semi-space-size=2',
    NODE_DISABLE_COMPILE_CACHE: '1',
    RELAY_LISTEN: '/ip4/127.0.0.1/tcp/0',
    RELAY_LOCAL: 'true',
    RELAY_OPS_LISTEN: '127.0.0.1:0',
    RELAY_SWARM_KEY_FILE: keyFile,
    RELAY_IDENTITY_KEY_FILE: join(folder, 'relay.key'),
    RELAY_MAX_RESERVATIONS: '16384',
    RELAY_MAX_CONNECTIONS: '32768',
    RELAY_MAX_PENDING_CONNECTIONS: '16384',
    RELAY_MAX_CIRCUITS: '16384',
    RELAY_HANDSHAKE_SECONDS: '60',
    RELAY_IDLE_SECONDS: '3600',
  },
});
onCleanup(async () => {
  relay.kill('SIGKILL');
  await relay.exited;
});
const { addresses } = await relay.waitFor('listening');
const target = parseRelay(String((addresses as string[])[0]));
const key = readKey(keyFile);
const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function repeat(work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
}

/** Does the work `count` times, and prints what each has added to the memory of the relay. */
async function measure(what: string, work: (index: number) => Promise<void>): Promise<void> {
  const before = residentMiB(relay);
  await repeat(work);
  await sleep(SETTLE_MS);
  const after = residentMiB(relay);
  const each = ((after - before) * 1024) / count;
  say(`${count} × ${what}: ${before.toFixed(0)} to ${after.toFixed(0)} MiB, ${each.toFixed(1)} KiB each`);
}

try {
  await sleep(SETTLE_MS);
  const devices = Array.from({ length: count }, () => new Device(key, 'yamux'));
  const sessions: Session[] = [];
  // The first connections also compile the code, so their cost is that of a relay that works.
  await measure('a connection with a ping stream', async (index) => {
    const device = devices[index] as Device;
    device.handlers.set(
      STOP,
      acceptCircuits(({ pipe }) => {
        pipe.receiver = { onBytes() {}, onWritable() {}, onEnd: () => pipe.end(), onClose() {} };
      }),
    );
    const session = await device.connect(target);
    await ping(session);
    sessions[index] = session;
  });
  await measure('a reservation', async (index) => reserve(sessions[index] as Session));
  await measure('an idle circuit', async (index) => {
    const other = devices[(index + 1) % count] as Device;
    await openCircuit(sessions[index] as Session, other.identity.peerId);
  });
  await measure('a pending handshake', async () => {
    const reader = new PipeReader(new PskPipe(await dialTcp(target), key, 0));
    await propose(reader, '/noise');
  });
  say(`container: ${container.peak()}`);
} finally {
  await cleanUp();
}
process.exit(0);
