// Slow, because two lifetimes of a reservation must pass, and a lifetime has a resolution of one second.
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp } from '../../../testing/cleanup.ts';
import {
  createTestPullDeps,
  makeEntries,
  startDevice,
  startServingDevice,
  startTestRelay,
} from '../../../testing/peer.ts';
import { until } from '../../../testing/wait.ts';
import { pull } from '../sync/pull.ts';
import { RELAY_TIMINGS } from './relay-state.ts';

afterEach(cleanUp);

test('a device stays reachable for longer than the lifetime of its reservation', async () => {
  const relay = await startTestRelay({ reservationMs: 2_000 });
  const { reservations, store, node, peerId } = await startServingDevice([relay.address], {
    relayTimings: { ...RELAY_TIMINGS, renewMinMs: 500 },
  });
  const client = await startDevice();
  store.insert(makeEntries(5));
  const expiry = (): bigint => node.reservations.getReservation(relay.libp2p.peerId)?.expire ?? 0n;
  const twoLifetimesLater = expiry() + 4n;
  await until(() => expiry() >= twoLifetimesLater, 'it was renewed');
  const target = { peerId, addresses: reservations.addresses() };
  expect(await pull(target, createTestPullDeps(client), { limit: 1000 })).toMatchObject({
    entries: 5,
    error: undefined,
    attempts: [],
  });
});
