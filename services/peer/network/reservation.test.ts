import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import {
  createTestLog,
  createTestPullDeps,
  makeEntries,
  SHORT_PROBE_TIMINGS,
  SHORT_RELAY_TIMINGS,
  startDevice,
  startServingDevice,
  startTestRelay,
  type TestRelay,
} from '../../../testing/peer.ts';
import { startSilentServer } from '../../../testing/silent-server.ts';
import { startTunnel } from '../../../testing/tunnel.ts';
import { until } from '../../../testing/wait.ts';
import { monotonicMs, unixSeconds } from '../../shared/clock.ts';
import { pull } from '../sync/pull.ts';
import { createReservations, type Reservations } from './reservation.ts';

afterEach(cleanUp);

async function restart(relay: TestRelay, hasHop = true): Promise<TestRelay> {
  return startTestRelay({ identity: relay.identity, port: relay.port, hasHop });
}

const isHeld = (reservations: Reservations) => (): boolean => reservations.addresses().length > 0;
const isLost = (reservations: Reservations) => (): boolean => reservations.addresses().length === 0;

/** A device that holds reservations, and its log. */
async function startReservations(relays: readonly string[], wanted?: number) {
  const { node } = await startDevice();
  const { log, lines } = createTestLog();
  const reservations = createReservations({
    node,
    relays,
    wanted,
    log,
    onChange: () => {},
    nowMs: monotonicMs,
    nowUnixSeconds: unixSeconds,
    random: () => 0.5,
    probeTimings: SHORT_PROBE_TIMINGS,
    relayTimings: SHORT_RELAY_TIMINGS,
  });
  reservations.start();
  onCleanup(async () => reservations.stop());
  return { reservations, lines };
}

describe('reservations', () => {
  test('are held again after the relay has restarted, and the device is reachable as before', async () => {
    const relay = await startTestRelay();
    const { reservations, store, peerId } = await startServingDevice([relay.address]);
    const client = await startDevice();
    store.insert(makeEntries(5));
    const addresses = reservations.addresses();
    await relay.libp2p.stop();
    await until(isLost(reservations), 'the reservation is lost');
    await restart(relay);
    await until(isHeld(reservations), 'the reservation is held again');
    expect(reservations.addresses()).toEqual(addresses);
    const report = await pull({ peerId, addresses }, createTestPullDeps(client), { limit: 1000 });
    expect(report).toMatchObject({ entries: 5, error: undefined });
  });

  test('are held again after the relay has refused the hop protocol for a time', async () => {
    const relay = await startTestRelay();
    const { reservations, lines } = await startServingDevice([relay.address]);
    await relay.libp2p.stop();
    await until(isLost(reservations), 'the reservation is lost');
    const withoutHop = await restart(relay, false);
    await until(
      () => lines.some(({ stage, reason }) => stage === 'reservation' && String(reason).includes('hop')),
      'the request has failed',
    );
    await withoutHop.libp2p.stop();
    await restart(relay);
    await until(isHeld(reservations), 'the reservation is held again');
  });

  test('are renewed before they expire', async () => {
    const relay = await startTestRelay();
    const relayTimings = { ...SHORT_RELAY_TIMINGS, renewMaxMs: 100 };
    const { reservations, node, lines } = await startServingDevice([relay.address], { relayTimings });
    const expiry = (): bigint => node.reservations.getReservation(relay.libp2p.peerId)?.expire ?? 0n;
    const first = expiry();
    await until(() => expiry() > first, 'the reservation is renewed');
    expect(reservations.addresses()).not.toEqual([]);
    expect(lines.filter(({ message }) => message === 'reservation lost')).toEqual([]);
  });

  test('are held again when the network changes and the connection to the relay is dead', async () => {
    const tunnel = await startTunnel(await startTestRelay());
    let network = 'home';
    const { reservations, lines, peerId } = await startServingDevice([tunnel.address], {
      network: () => network,
    });
    tunnel.kill();
    network = 'train';
    const messages = (): string[] => lines.map(({ message }) => message);
    await until(
      () => messages().filter((message) => message === 'reserved').length === 2,
      'it is held again',
    );
    expect(messages()).toEqual([
      'reserved',
      'network changed',
      'relay does not answer',
      'reservation lost',
      'reserved',
    ]);
    expect(tunnel.opened()).toBe(2);
    expect(reservations.addresses()).toContain(`${tunnel.address}/p2p-circuit/p2p/${peerId}`);
  });

  test('are requested with growing pauses from a relay that grants and drops them', async () => {
    const relay = await startTestRelay();
    relay.libp2p.addEventListener('connection:open', ({ detail: connection }) => {
      setTimeout(() => connection.abort(new Error('The connection is dropped by the test.')), 100);
    });
    const { lines } = await startReservations([relay.address]);
    const pauses = (): unknown[] =>
      lines.flatMap(({ retryInMs }) => (retryInMs === undefined ? [] : [retryInMs]));
    await until(() => pauses().length >= 3, 'it was lost three times');
    expect(pauses().slice(0, 3)).toEqual([30, 60, 120]);
  });

  test('are held again under each address of one relay', async () => {
    const relay = await startTestRelay();
    const relays = [relay.address, relay.address.replace('/ip4/127.0.0.1/', '/dns4/localhost/')];
    const { reservations } = await startReservations(relays);
    const areHeld = (): boolean =>
      relays.every((start) => reservations.addresses().some((address) => address.startsWith(start)));
    await until(areHeld, 'both are held');
    await relay.libp2p.stop();
    await until(isLost(reservations), 'both are lost');
    await restart(relay);
    await until(areHeld, 'both are held again');
  });

  test('are held on at most two relays, and a third relay replaces one that stops', async () => {
    const relays = [await startTestRelay(), await startTestRelay(), await startTestRelay()];
    const [first = '', second = '', third = ''] = relays.map(({ address }) => address);
    const { reservations, lines } = await startReservations([first, second, third]);
    const relaysInUse = (): string[] =>
      [first, second, third].filter((relay) =>
        reservations.addresses().some((each) => each.startsWith(relay)),
      );
    await until(() => relaysInUse().length === 2, 'two reservations are held');
    expect(relaysInUse()).toEqual([first, second]);
    await relays[0]?.libp2p.stop();
    await until(() => relaysInUse().includes(third), 'the third relay is in use');
    expect(relaysInUse()).toEqual([second, third]);
    expect(lines.filter(({ message }) => message === 'reserved')).toHaveLength(3);
  });

  test('of a hub are held on every relay, and a relay that does not respond delays no other', async () => {
    const silent = await startSilentServer();
    const relays = [await startTestRelay(), await startTestRelay(), await startTestRelay()];
    const addresses = [silent.address, ...relays.map(({ address }) => address)];
    const { reservations } = await startReservations(addresses, addresses.length);
    await until(() => reservations.held() === 3, 'all other relays hold a reservation');
    expect(reservations.addresses()).toHaveLength(3);
    await relays[2]?.libp2p.stop();
    await until(() => reservations.held() === 2, 'the reservation is lost');
    await restart(relays[2] as TestRelay);
    await until(() => reservations.held() === 3, 'the reservation is held again');
  });
});
