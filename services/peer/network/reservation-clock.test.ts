import { afterEach, describe, expect, test } from '@jest/globals';
import { pbStream } from '@libp2p/utils';
import { multiaddr } from '@multiformats/multiaddr';
import { HopMessage, Status } from '../../../node_modules/@libp2p/circuit-relay-v2/dist/src/pb/index.js';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { createTestLog, SHORT_RELAY_TIMINGS, startDevice, startTestRelay } from '../../../testing/peer.ts';
import { until } from '../../../testing/wait.ts';
import { monotonicMs, unixSeconds } from '../../shared/clock.ts';
import { RELAY_TIMINGS, type RelayTimings } from './relay-state.ts';
import { createReservations } from './reservation.ts';

afterEach(cleanUp);

const HOP_PROTOCOL = '/libp2p/circuit/relay/0.2.0/hop';
const HOUR_SECONDS = 3_600;

/** A relay whose reservations end after this time by the clock of the device, and the number of its grants. */
async function startRelay(secondsLeft: number) {
  const relay = await startTestRelay({ hasHop: false });
  let grants = 0;
  await relay.libp2p.handle(HOP_PROTOCOL, async (stream) => {
    const messages = pbStream(stream).pb(HopMessage);
    await messages.read();
    grants += 1;
    const reservation = {
      expire: BigInt(unixSeconds() + secondsLeft),
      addrs: [multiaddr(relay.address).bytes],
    };
    await messages.write({ type: HopMessage.Type.STATUS, status: Status.OK, reservation });
  });
  return { address: relay.address, grants: () => grants };
}

async function startReservations(address: string, relayTimings: RelayTimings) {
  const { node } = await startDevice([]);
  const { log, lines } = createTestLog();
  const reservations = createReservations({
    node,
    relays: [address],
    log,
    onChange: () => {},
    nowMs: monotonicMs,
    nowUnixSeconds: unixSeconds,
    random: () => 0.5,
    relayTimings,
  });
  reservations.start();
  onCleanup(async () => reservations.stop());
  return { reservations, lines };
}

describe('a reservation', () => {
  test.each([
    ['20 hours ahead, of 24 hours', 4 * HOUR_SECONDS],
    ['20 hours behind, of 24 hours', 44 * HOUR_SECONDS],
    ['20 hours ahead, of one hour', -19 * HOUR_SECONDS],
    ['an hour ahead, of one hour', 0],
    ['almost an hour ahead, of one hour', 1],
    ['years ahead', -1_700_000_000],
  ])('is held and renewed by a device whose clock is %s', async (_, secondsLeft) => {
    const relay = await startRelay(secondsLeft);
    const relayTimings = { ...SHORT_RELAY_TIMINGS, renewMinMs: 50, renewMaxMs: 50 };
    const { reservations, lines } = await startReservations(relay.address, relayTimings);
    await until(() => relay.grants() >= 4, 'it is renewed');
    expect(reservations.addresses()).toHaveLength(1);
    const messages = lines.map(({ message }) => message);
    expect(new Set(messages)).toEqual(new Set(['reserved']));
  });

  test('that ends soon by the clock of the device is not renewed in a loop', async () => {
    const relay = await startRelay(1);
    const { reservations } = await startReservations(relay.address, RELAY_TIMINGS);
    await until(() => reservations.addresses().length === 1, 'it is held');
    expect(relay.grants()).toBe(1);
  });
});
