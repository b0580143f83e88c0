// Strangers and members that mean harm, against a relay as a process; in small here, in large in e2e/load.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Libp2p, Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { cleanUp } from '../../testing/cleanup.ts';
import { startProxy } from '../../testing/proxy.ts';
import { until } from '../../testing/wait.ts';
import { readSwarmKey, type SwarmKey } from '../../services/private-network/key.ts';
import { type Relay, startRelay } from '../../scripts/local-network.ts';
import { type Running, startProgram } from '../../scripts/processes.ts';
import { authenticate, connectRaw, garbage, GREETING } from '../../testing/attacks.ts';
import { dialThrough, metric, reserve, startDevice } from '../../testing/load-devices.ts';
import { residentMiB } from '../../testing/process-usage.ts';
import { createNamespace, HAS_NAMESPACES, type Namespace } from '../../testing/namespace.ts';

const ECHO = '/test/echo/1.0.0';
const MAX_PENDING = 64;
/** The heap that the relay has: what is kept of those that left would not fit. */
const HEAP_MIB = 64;
const CHURN = 600;
const TEST_TIMEOUT_MS = 60_000;
/** The third number of the namespace's addresses. */
const SUBNET = 77;

const folder = mkdtempSync(join(tmpdir(), 'rustory-hostile-'));
let key: SwarmKey;
let relay: Relay;
let source: Libp2p;
let target: Libp2p;
let circuit: Stream;
let namespace: Namespace | undefined;
let vanished: Running | undefined;

beforeAll(async () => {
  namespace = HAS_NAMESPACES ? createNamespace(SUBNET) : undefined;
  const listen = ['127.0.0.1', ...(namespace === undefined ? [] : [namespace.host])];
  relay = await startRelay(folder, {
    env: {
      // Small halves for what is new, or the collector works more than the relay in a heap so small.
      NODE_OPTIONS: `--max-old-space-size=${HEAP_MIB} --max-semi-space-size=2`,
      RELAY_LISTEN: listen.map((host) => `/ip4/${host}/tcp/0`).join(','),
      RELAY_MAX_PENDING_CONNECTIONS: String(MAX_PENDING),
      RELAY_HANDSHAKE_SECONDS: '2',
    },
  });
  key = readSwarmKey(join(folder, 'swarm.key'));
  [source, target] = [await startDevice(key), await startDevice(key, relay)];
  await target.handle(ECHO, (stream) => stream.addEventListener('message', ({ data }) => stream.send(data)), {
    runOnLimitedConnection: true,
  });
  circuit = await dialThrough(relay, source, target, ECHO);
  if (namespace !== undefined) vanished = await startAndCut(namespace);
}, TEST_TIMEOUT_MS);

afterAll(async () => {
  await Promise.all([cleanUp(), source.stop(), target.stop(), relay.stop(), vanished?.stop()]);
  namespace?.remove();
  rmSync(folder, { recursive: true, force: true });
}, TEST_TIMEOUT_MS);

/** A device in the namespace that reserves, and whose line is cut then. */
async function startAndCut(cuttable: Namespace): Promise<Running> {
  const { addresses } = await relay.waitFor('listening');
  const address = (addresses as string[]).find((each) => each.includes(cuttable.host)) ?? '';
  const device = startProgram(
    'device',
    join(import.meta.dirname, '../../testing/programs/stalled-device.ts'),
    {
      under: cuttable.under,
      args: [join(folder, 'swarm.key'), address],
    },
  );
  await device.waitFor('reserved');
  cuttable.cut();
  return device;
}

/** The circuit that was open all the time carries, and a new device gets a reservation and a circuit. */
async function expectWellBehavedUnaffected(): Promise<void> {
  let received = 0;
  const count = ({ data }: { data: { byteLength: number } }): void => void (received += data.byteLength);
  circuit.addEventListener('message', count);
  circuit.send(randomBytes(100_000));
  await until(() => received === 100_000, 'the circuit carries');
  circuit.removeEventListener('message', count);
  const device = await startDevice(key);
  expect(await reserve(device, relay)).toBe('OK');
  await (await dialThrough(relay, device, target, ECHO)).close();
  await device.stop();
}

async function expectNothingLeft(): Promise<void> {
  await until(
    async () => (await metric(relay, 'rustory_relay_pending_connections')) === 0,
    'no handshake is under way',
  );
  const devices = 2 + (vanished === undefined ? 0 : 1);
  await until(
    async () => (await metric(relay, 'rustory_relay_connections{muxer="yamux"}')) <= devices,
    'no connection is left but those of the devices',
  );
  expect(relay.stderr()).toBe('');
  expect([...relay.logged('fatal'), ...relay.logged('error')]).toEqual([]);
}

test(
  'garbage before the nonce, after it, and behind the swarm key is cut off',
  async () => {
    const sockets = Array.from({ length: 160 }, (_, at) => {
      const socket = connectRaw(relay);
      socket.write(garbage(key, at));
      return socket;
    });
    await expectWellBehavedUnaffected();
    await until(() => sockets.every(({ closed }) => closed), 'all are cut off');
    await expectNothingLeft();
  },
  TEST_TIMEOUT_MS,
);

test(
  'handshakes of one byte a second do not keep devices out, and end at the deadline',
  async () => {
    const sockets = Array.from({ length: 4 * MAX_PENDING }, () => connectRaw(relay));
    const bytes = authenticate(key, GREETING);
    let sent = 0;
    const drip = setInterval(() => {
      for (const socket of sockets) if (socket.writable) socket.write(bytes.subarray(sent, sent + 1));
      sent += 1;
    }, 1_000);
    await expectWellBehavedUnaffected();
    await until(() => sockets.every(({ closed }) => closed), 'all are cut off');
    clearInterval(drip);
    await expectNothingLeft();
  },
  TEST_TIMEOUT_MS,
);

test(
  'a handshake that was recorded and is played back gets nobody in',
  async () => {
    const proxy = await startProxy({ address: multiaddr(relay.address) });
    const device = await startDevice(key);
    expect(await reserve(device, { address: proxy.address.toString() })).toBe('OK');
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
    await until(() => sockets.every(({ closed }) => closed), 'all are cut off');
    // Its first bytes are right, so it gets as far as Noise, whose keys are new each time.
    await until(async () => (await handshakes('unfinished')) === unfinished + 50, 'all are counted');
    expect(await handshakes('ok')).toBe(before);
    await expectWellBehavedUnaffected();
    await expectNothingLeft();
  },
  TEST_TIMEOUT_MS,
);

test(
  'thousands of connections in a second keep no device out',
  async () => {
    const sockets: Socket[] = [];
    const flood = setInterval(() => {
      for (let at = 0; at < 100 && sockets.length < 2_000; at += 1) sockets.push(connectRaw(relay));
    }, 50);
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
  },
  TEST_TIMEOUT_MS,
);

test(
  `${CHURN} devices that connect, reserve and leave in a row fit into a heap of ${HEAP_MIB} MiB`,
  async () => {
    let left = CHURN;
    const worker = async (): Promise<void> => {
      for (; left > 0; left -= 1) {
        const device = await startDevice(key);
        expect(await reserve(device, relay)).toBe('OK');
        await device.stop();
      }
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    await expectWellBehavedUnaffected();
    await expectNothingLeft();
    expect(residentMiB(relay)).toBeLessThan(256);
  },
  TEST_TIMEOUT_MS,
);

// Where there are no namespaces, no line can be cut without a word.
if (HAS_NAMESPACES)
  test(
    'a device whose line was cut without a word is found, and its reservation freed',
    async () => {
      await until(
        async () => (await metric(relay, 'rustory_relay_reservations')) === 1,
        'only the reservation of the well-behaved device is left',
        40_000,
      );
      await expectWellBehavedUnaffected();
    },
    TEST_TIMEOUT_MS,
  );
