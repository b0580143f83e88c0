import { afterEach, expect, test } from '@jest/globals';
import { multiaddr } from '@multiformats/multiaddr';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { authenticate, connectRaw } from '../../testing/attacks.ts';
import { GREETING } from '../../testing/stock-psk.ts';
import { swarmKey } from '../../testing/relay-config.ts';
import {
  connectTo,
  dialEcho,
  exchange,
  hop,
  RESERVE,
  startPeer,
  startLoggedRelay,
} from '../../testing/relay.ts';
import { until } from '../../testing/wait.ts';

afterEach(cleanUp);

const REFUSED = 'rustory_relay_connections_refused_total';

test('a full relay closes the longest idle connection for a new one, and none with a reservation or a circuit', async () => {
  const { relay, refusals } = await startLoggedRelay({ limits: { connections: 4 } });
  const target = await startPeer(relay);
  const source = await startPeer();
  const stream = await dialEcho(source, relay, target);
  const [first, second, third] = [await startPeer(), await startPeer(), await startPeer()];
  const [longest, other] = [await first.dial(relay.address), await second.dial(relay.address)];
  await third.dial(relay.address);
  await until(() => longest.status !== 'open', 'the longest idle connection is closed');
  expect(other.status).toBe('open');
  expect(await relay.metric(`${REFUSED}{reason="idle"}`)).toBe(1);
  expect((await exchange(stream, 100_000)).bytes).toBe(100_000);
  expect(refusals()).toMatchObject([
    { level: 30, reason: 'idle', peer: first.peerId.toString(), setting: 'RELAY_MAX_CONNECTIONS' },
  ]);
});

test('a full relay without an idle connection refuses a new one, and says which setting to raise', async () => {
  const { relay, refusals } = await startLoggedRelay({ limits: { connections: 2 } });
  await startPeer(relay);
  await startPeer(relay);
  await expect((await startPeer()).dial(relay.address)).rejects.toThrow();
  expect(await relay.metric(`${REFUSED}{reason="all"}`)).toBe(1);
  expect(refusals()).toMatchObject([{ reason: 'all', setting: 'RELAY_MAX_CONNECTIONS' }]);
  expect(refusals()[0]?.['address']).toMatch(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+$/);
});

test('connections that have not proved the swarm key close no idle connection of a full relay', async () => {
  const { relay } = await startLoggedRelay({ limits: { connections: 1, handshakeSeconds: 1 } });
  const connection = await (await startPeer()).dial(relay.address);
  const sockets = Array.from({ length: 8 }, () => connectRaw(relay));
  onCleanup(() => sockets.forEach((socket) => socket.destroy()));
  for (const socket of sockets.slice(4)) socket.write(authenticate(swarmKey, GREETING));
  await until(() => sockets.every(({ closed }) => closed), 'all are closed at their deadline');
  expect(connection.status).toBe('open');
  expect(await relay.metric(`${REFUSED}{reason="idle"}`)).toBe(0);
});

test('each refused reservation and circuit is logged with the peer id and the setting', async () => {
  const { relay, refusals } = await startLoggedRelay({ limits: { reservations: 1, circuitsPerMinute: 1 } });
  const [target, refused] = [await startPeer(relay), await startPeer()];
  expect((await hop(refused, relay, RESERVE)).status).toBe('RESERVATION_REFUSED');
  const unknown = await startPeer();
  expect((await hop(refused, relay, connectTo(unknown))).status).toBe('NO_RESERVATION');
  expect((await hop(refused, relay, connectTo(target))).status).toBe('RESOURCE_LIMIT_EXCEEDED');
  const peer = refused.peerId.toString();
  expect(refusals()).toMatchObject([
    { msg: 'reservation refused', reason: 'reservations', peer, setting: 'RELAY_MAX_RESERVATIONS' },
    { msg: 'circuit refused', reason: 'no_reservation', peer, target: unknown.peerId.toString() },
    { msg: 'circuit refused', reason: 'rate', peer, setting: 'RELAY_CIRCUITS_PER_MINUTE' },
  ]);
  for (const line of refusals()) expect(() => multiaddr(String(line['address']))).not.toThrow();
});

test('a device with another swarm key is logged once a minute, and a port scan is not', async () => {
  const { relay, lines } = await startLoggedRelay();
  for (let count = 0; count < 3; count += 1) {
    const device = await startPeer(undefined, { key: { ...swarmKey, bytes: new Uint8Array(32).fill(7) } });
    await expect(device.dial(relay.address)).rejects.toThrow();
  }
  const scans = Array.from({ length: 20 }, () => connectRaw(relay));
  for (const socket of scans) socket.end();
  await until(() => scans.every(({ closed }) => closed), 'all scans have ended');
  await until(
    async () => (await relay.metric('rustory_relay_handshakes_total{outcome="no_nonce"}')) === 20,
    'all scans are counted',
  );
  const written = lines.filter(({ msg }) => msg === 'connection with another swarm key');
  expect(written).toMatchObject([
    { level: 30, address: expect.stringMatching(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+$/) },
  ]);
  expect(lines.filter(({ level }) => Number(level) >= 30).length).toBeLessThanOrEqual(3);
});
