import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { until } from '../../../testing/wait.ts';
import { openRelay } from './dial.ts';
import { pull } from '../sync/pull.ts';
import { createRelayProbe } from './relay-probe.ts';
import { createReservations, type Reservations } from './reservation.ts';
import {
  cleanUp,
  createTestLog,
  createTestPullDeps,
  makeEntries,
  onCleanup,
  startDevice,
  startServingDevice,
  startTestRelay,
  type TestRelay,
} from '../../../testing/peer.ts';

afterEach(cleanUp);

async function restart(relay: TestRelay, hop = true) {
  return startTestRelay({ identity: relay.identity, port: relay.port, hop });
}

const isHeld = (reservations: Reservations) => (): boolean => reservations.addresses().length > 0;
const isLost = (reservations: Reservations) => (): boolean => reservations.addresses().length === 0;

/** A way to a port of this machine that can go dead, as a network does: nothing arrives, and nobody is told. */
async function startTunnel(port: number) {
  const state = { isDead: false, opened: 0 };
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    state.opened += 1;
    const wasOpenedDead = state.isDead;
    near.on('data', (chunk) => (state.isDead && !wasOpenedDead ? undefined : far.write(chunk)));
    far.on('data', (chunk) => (state.isDead && !wasOpenedDead ? undefined : near.write(chunk)));
    for (const socket of [near, far]) socket.on('error', () => {});
    onCleanup(() => {
      near.destroy();
      far.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onCleanup(() => void server.close());
  return { port: (server.address() as AddressInfo).port, state };
}

describe('a relay that went dead without a word', () => {
  test('is noticed when the addresses of this machine change, and its connection ends', async () => {
    const relay = await startTestRelay();
    const tunnel = await startTunnel(relay.port);
    const { node } = await startDevice();
    const address = relay.address.replace(`/tcp/${relay.port}`, `/tcp/${tunnel.port}`);
    const { log, lines } = createTestLog();
    let network = 'home';
    const probe = createRelayProbe({
      libp2p: node.libp2p,
      relays: () => [address],
      log,
      network: () => network,
    });
    onCleanup(() => probe.stop());
    const connection = await openRelay(node.libp2p, address, {});
    await until(() => connection.streams.length === 0, 'identify is over');
    probe.start();
    tunnel.state.isDead = true;
    network = 'train';
    await until(() => connection.status !== 'open', 'the connection has ended');
    expect(lines.map(({ message }) => message)).toEqual(['network changed', 'relay does not answer']);
    // What is opened after that reaches the relay again.
    expect((await openRelay(node.libp2p, address, {})).status).toBe('open');
  }, 20_000);
});

/** A device that holds reservations, and what it logs. */
async function startReservations(relays: readonly string[]) {
  const { node } = await startDevice();
  const { log, lines } = createTestLog();
  const reservations = createReservations({
    node,
    relays,
    log,
    onChange: () => {},
    clock: () => performance.now(),
    now: () => Date.now() / 1000,
    random: () => 0.5,
  });
  reservations.start();
  onCleanup(async () => reservations.stop());
  return { reservations, lines };
}

describe('a reservation', () => {
  test('is made again when the relay comes back, and the device is reachable as before', async () => {
    const relay = await startTestRelay();
    const { reservations, store, peerId } = await startServingDevice([relay.address]);
    const client = await startDevice();
    store.insert(makeEntries(5));
    const before = reservations.addresses();
    await relay.libp2p.stop();
    await until(isLost(reservations), 'the reservation is lost');
    await restart(relay);
    await until(isHeld(reservations), 'the reservation is back');
    expect(reservations.addresses()).toEqual(before);
    expect(
      await pull({ peerId, addresses: before }, createTestPullDeps(client), { limit: 1000 }),
    ).toMatchObject({
      entries: 5,
      error: undefined,
    });
  });

  test('is made again also when the relay was for a while one that relays nothing', async () => {
    const relay = await startTestRelay();
    const { reservations, lines } = await startServingDevice([relay.address]);
    await relay.libp2p.stop();
    await until(isLost(reservations), 'the reservation is lost');
    const deaf = await restart(relay, false);
    await until(
      () => lines.some(({ stage, reason }) => stage === 'reservation' && String(reason).includes('hop')),
      'it was refused',
    );
    await deaf.libp2p.stop();
    await restart(relay);
    await until(isHeld(reservations), 'the reservation is back');
  });

  test('is made again before it expires, and the device stays reachable', async () => {
    const relay = await startTestRelay({ reservationMs: 2_000 });
    const { reservations, store, node, peerId } = await startServingDevice([relay.address]);
    const client = await startDevice();
    store.insert(makeEntries(5));
    const expiry = (): bigint => node.reservations.getReservation(relay.libp2p.peerId)?.expire ?? 0n;
    // Two lives later the first reservation is long gone.
    const later = expiry() + 4n;
    await until(() => expiry() >= later, 'it was made again');
    expect(
      await pull({ peerId, addresses: reservations.addresses() }, createTestPullDeps(client), {
        limit: 1000,
      }),
    ).toMatchObject({ entries: 5, error: undefined, attempts: [] });
  }, 20_000);

  test('is made again when the network changes and the old way to the relay is dead', async () => {
    const relay = await startTestRelay();
    const tunnel = await startTunnel(relay.port);
    const address = relay.address.replace(`/tcp/${relay.port}`, `/tcp/${tunnel.port}`);
    let network = 'home';
    const { reservations, lines, peerId } = await startServingDevice([address], [], () => network);
    tunnel.state.isDead = true;
    network = 'train';
    await until(() => lines.filter(({ message }) => message === 'reserved').length === 2, 'it is back');
    expect(lines.map(({ message }) => message)).toEqual([
      'reserved',
      'network changed',
      'relay does not answer',
      'reservation lost',
      'reserved',
    ]);
    expect(tunnel.state.opened).toBe(2);
    expect(reservations.addresses()).toContain(`${address}/p2p-circuit/p2p/${peerId}`);
  }, 30_000);

  test('is asked for with pauses from a relay that grants and drops it again', async () => {
    const relay = await startTestRelay();
    relay.libp2p.addEventListener('connection:open', ({ detail: connection }) => {
      setTimeout(() => connection.abort(new Error('dropped')), 100);
    });
    const { lines } = await startReservations([relay.address]);
    await until(
      () => lines.filter(({ retryInMs }) => retryInMs !== undefined).length >= 3,
      'it was lost three times',
    );
    expect(lines.flatMap(({ retryInMs }) => (retryInMs === undefined ? [] : [retryInMs]))).toEqual([
      375, 750, 1500,
    ]);
  });

  test('is made again under each of the addresses that one relay has', async () => {
    const relay = await startTestRelay();
    const relays = [relay.address, relay.address.replace('/ip4/127.0.0.1/', '/dns4/localhost/')];
    const { reservations } = await startReservations(relays);
    const areAll = (): boolean =>
      relays.every((front) => reservations.addresses().some((address) => address.startsWith(front)));
    await until(areAll, 'both are held');
    await relay.libp2p.stop();
    await until(isLost(reservations), 'both are lost');
    await restart(relay);
    await until(areAll, 'both are back');
  });

  test('is held on two relays at most, and a third takes the place of one that went away', async () => {
    const relays = [await startTestRelay(), await startTestRelay(), await startTestRelay()];
    const { reservations, lines } = await startReservations(relays.map(({ address }) => address));
    const relaysInUse = (): string[] =>
      relays
        .filter(({ address }) => reservations.addresses().some((one) => one.startsWith(address)))
        .map(({ address }) => address);
    const addressOf = (position: number): string => relays[position]?.address ?? '';
    await until(() => relaysInUse().length === 2, 'two reservations are held');
    expect(relaysInUse()).toEqual([addressOf(0), addressOf(1)]);
    await relays[0]?.libp2p.stop();
    await until(() => relaysInUse().includes(addressOf(2)), 'the third relay is in use');
    expect(relaysInUse()).toEqual([addressOf(1), addressOf(2)]);
    expect(lines.filter(({ message }) => message === 'reserved')).toHaveLength(3);
  });
});
