// Hostile connections, with and without the swarm key, to a relay process. e2e/load has the same attacks at a larger
// scale.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Libp2p, Stream } from '@libp2p/interface';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { startProxy } from '../../testing/proxy.ts';
import { until } from '../../testing/wait.ts';
import { readSwarmKey, type SwarmKey } from '../../services/private-network/key.ts';
import { type Relay, startRelay } from '../../scripts/local-network.ts';
import { startProgram } from '../../scripts/processes.ts';
import { authenticate, connectRaw, garbage } from '../../testing/attacks.ts';
import { GREETING } from '../../testing/stock-psk.ts';
import { dialThrough, metric, reserve, startDevice } from '../../testing/load-devices.ts';
import { residentMiB } from '../../testing/process-usage.ts';
import { createNamespace, HAS_NAMESPACES, type Namespace } from '../../testing/namespace.ts';

const STALLED_DEVICE = join(import.meta.dirname, '../../testing/programs/stalled-device.ts');
const ECHO = '/test/echo/1.0.0';
const MAX_PENDING = 64;
/** Maximum heap of the relay: too small for the state of all devices that have disconnected. */
const HEAP_MIB = 64;
const CHURN = 600;

const folder = mkdtempSync(join(tmpdir(), 'rustory-hostile-'));
let key: SwarmKey;
let relay: Relay;
let target: Libp2p;
let circuit: Stream;
/** Whether a device has disappeared without closing its connection. It keeps its reservation for 25 minutes. */
let hasUnreachableDevice = false;

beforeAll(async () => {
  onCleanup(() => rmSync(folder, { recursive: true, force: true }));
  const namespace = HAS_NAMESPACES ? createNamespace() : undefined;
  onCleanup(() => namespace?.remove());
  const listen = ['127.0.0.1', ...(namespace === undefined ? [] : [namespace.host])];
  relay = await startRelay(folder, {
    env: {
      // A small young generation leaves space for the old one. Otherwise the garbage collector uses most of the CPU.
      NODE_OPTIONS: `--max-old-space-size=${HEAP_MIB} --max-semi-space-size=2`,
      RELAY_LISTEN: listen.map((host) => `/ip4/${host}/tcp/0`).join(','),
      RELAY_MAX_PENDING_CONNECTIONS: String(MAX_PENDING),
      RELAY_HANDSHAKE_SECONDS: '2',
    },
  });
  onCleanup(relay.stop);
  key = readSwarmKey(join(folder, 'swarm.key'));
  const source = await startDevice(key);
  onCleanup(async () => source.stop());
  target = await startDevice(key, relay);
  onCleanup(async () => target.stop());
  await target.handle(ECHO, (stream) => stream.addEventListener('message', ({ data }) => stream.send(data)), {
    runOnLimitedConnection: true,
  });
  circuit = await dialThrough(relay, source, target, ECHO);
  if (namespace !== undefined) await startUnreachableDevice(namespace);
});

afterAll(cleanUp);

/** Starts a device in the namespace that reserves, and then interrupts its network. */
async function startUnreachableDevice(namespace: Namespace): Promise<void> {
  const { addresses } = await relay.waitFor('listening');
  const address = (addresses as string[]).find((each) => each.includes(namespace.host)) ?? '';
  const device = startProgram('device', STALLED_DEVICE, {
    under: namespace.under,
    args: [join(folder, 'swarm.key'), address],
  });
  onCleanup(device.stop);
  await device.waitFor('reserved');
  // While data is in flight the kernel retransmits it for minutes instead of probing the connection.
  await until(() => namespace.isQuiet(), 'nothing is in flight to the device');
  namespace.cut();
  hasUnreachableDevice = true;
}

/** The circuit that was open before still works, and a new device gets a reservation and a circuit. */
async function expectWellBehavedUnaffected(): Promise<void> {
  let received = 0;
  const count = ({ data }: { data: { byteLength: number } }): void => void (received += data.byteLength);
  circuit.addEventListener('message', count);
  circuit.send(randomBytes(100_000));
  await until(() => received === 100_000, 'the circuit echoes');
  circuit.removeEventListener('message', count);
  const device = await startDevice(key);
  onCleanup(async () => device.stop());
  // During a flood a relay that is short of CPU may evict the handshake of a device, which then tries again.
  const isReserved = async (): Promise<boolean> =>
    (await reserve(device, relay).catch(() => undefined)) === 'OK';
  await until(isReserved, 'a new device gets a reservation');
  await (await dialThrough(relay, device, target, ECHO)).close();
  await device.stop();
}

async function expectNothingLeft(): Promise<void> {
  await until(
    async () => (await metric(relay, 'rustory_relay_pending_connections')) === 0,
    'no handshake is pending',
  );
  const devices = hasUnreachableDevice ? 3 : 2;
  await until(
    async () => (await metric(relay, 'rustory_relay_connections{muxer="yamux"}')) <= devices,
    'only the connections of the devices are left',
  );
  expect(relay.stderr()).toBe('');
  expect([...relay.logged('fatal'), ...relay.logged('error')]).toEqual([]);
}

test('closes connections that send garbage before the nonce, after it, or after authentication', async () => {
  const sockets = Array.from({ length: 160 }, (_, index) => {
    const socket = connectRaw(relay);
    socket.write(garbage(key, index));
    return socket;
  });
  await expectWellBehavedUnaffected();
  await until(() => sockets.every(({ closed }) => closed), 'all are closed');
  await expectNothingLeft();
});

test('closes handshakes of one byte per second at the deadline, and serves devices meanwhile', async () => {
  const sockets = Array.from({ length: 4 * MAX_PENDING }, () => connectRaw(relay));
  const bytes = authenticate(key, GREETING);
  let sent = 0;
  const drip = setInterval(() => {
    for (const socket of sockets) if (socket.writable) socket.write(bytes.subarray(sent, sent + 1));
    sent += 1;
  }, 1_000);
  onCleanup(() => clearInterval(drip));
  await expectWellBehavedUnaffected();
  await until(() => sockets.every(({ closed }) => closed), 'all are closed');
  clearInterval(drip);
  await expectNothingLeft();
});

test('rejects a recorded handshake that is replayed', async () => {
  const proxy = await startProxy(relay);
  const device = await startDevice(key);
  expect(await reserve(device, proxy)).toBe('OK');
  await device.stop();
  const recorded = proxy.sent();
  expect(recorded.length).toBeGreaterThan(500);
  const handshakes = async (outcome: string): Promise<number> =>
    metric(relay, `rustory_relay_handshakes_total{outcome="${outcome}"}`);
  const [before, unfinished] = [await handshakes('ok'), await handshakes('unfinished')];
  const sockets = Array.from({ length: 50 }, () => {
    const socket = connectRaw(relay);
    socket.write(recorded);
    return socket;
  });
  await until(() => sockets.every(({ closed }) => closed), 'all are closed');
  // The first bytes are valid, so the handshake reaches Noise, which uses new keys each time.
  await until(async () => (await handshakes('unfinished')) === unfinished + 50, 'all are counted');
  expect(await handshakes('ok')).toBe(before);
  await expectWellBehavedUnaffected();
  await expectNothingLeft();
});

test('serves devices during a flood of thousands of connections per second', async () => {
  const sockets: Socket[] = [];
  const flood = setInterval(() => {
    for (let opened = 0; opened < 100 && sockets.length < 2_000; opened += 1) sockets.push(connectRaw(relay));
  }, 50);
  onCleanup(() => {
    clearInterval(flood);
    for (const socket of sockets) socket.destroy();
  });
  await until(() => sockets.length >= 500, 'the flood has begun');
  await expectWellBehavedUnaffected();
  await until(() => sockets.length === 2_000, 'the flood is over');
  clearInterval(flood);
  await expectWellBehavedUnaffected();
  expect(await metric(relay, 'rustory_relay_connections_refused_total{reason="pending"}')).toBeGreaterThan(
    1_000,
  );
  for (const socket of sockets) socket.destroy();
  await expectNothingLeft();
});

test(`serves ${CHURN} devices that connect, reserve and disconnect with a heap of ${HEAP_MIB} MiB`, async () => {
  let remaining = CHURN;
  const worker = async (): Promise<void> => {
    for (; remaining > 0; remaining -= 1) {
      const device = await startDevice(key);
      expect(await reserve(device, relay)).toBe('OK');
      await device.stop();
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  await expectWellBehavedUnaffected();
  await expectNothingLeft();
  expect(residentMiB(relay)).toBeLessThan(256);
});

// Without namespaces, a network cannot be interrupted while both sides keep their connection.
if (HAS_NAMESPACES)
  test('keeps the reservation of a device whose network was interrupted', async () => {
    expect(await metric(relay, 'rustory_relay_reservations')).toBe(2);
    await expectWellBehavedUnaffected();
  });
