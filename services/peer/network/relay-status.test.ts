import { afterEach, describe, expect, test } from '@jest/globals';
import { pbStream } from '@libp2p/utils';
import { HopMessage, Status } from '../../../node_modules/@libp2p/circuit-relay-v2/dist/src/pb/index.js';
import { cleanUp } from '../../../testing/cleanup.ts';
import { createTestDialer, startDevice, startTestRelay } from '../../../testing/peer.ts';
import { DialFailedError } from './dial.ts';
import { findRelayRefusal } from './relay-status.ts';
import { requestReservation } from './reservation.ts';

afterEach(cleanUp);

const HOP_PROTOCOL = '/libp2p/circuit/relay/0.2.0/hop';

/** A node that responds to every hop request with this status, and a device that uses it as its relay. */
async function startWithRelay(status: Status) {
  const relay = await startTestRelay({ hasHop: false });
  await relay.libp2p.handle(HOP_PROTOCOL, async (stream) => {
    const messages = pbStream(stream).pb(HopMessage);
    await messages.read();
    await messages.write({ type: HopMessage.Type.STATUS, status });
  });
  return { address: relay.address, device: await startDevice() };
}

// Uses the real library, so that these tests fail when an upgrade changes the text of its errors.
describe('a status in an error of the library', () => {
  test.each([
    [Status.NO_RESERVATION, 'reservation', 'holds no reservation', false],
    [Status.RESOURCE_LIMIT_EXCEEDED, 'circuit', 'one of its limits', true],
    [Status.PERMISSION_DENIED, 'circuit', 'denied', false],
    [Status.CONNECTION_FAILED, 'circuit', 'could not reach the peer', false],
  ] as const)('%s explains why a circuit was refused', async (status, stage, reason, isRepeated) => {
    const { address, device } = await startWithRelay(status);
    const dialer = createTestDialer(device.node, [address], 'relay-only');
    const { peerId } = await startDevice();
    const error: unknown = await dialer
      .connect({ peerId, addresses: [] }, 3_000)
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DialFailedError);
    const { attempts } = error as DialFailedError;
    expect(attempts[0]).toMatchObject({ stage, reason: expect.stringContaining(reason) });
    expect(attempts.length > 1).toBe(isRepeated);
  });

  test.each([
    [Status.RESERVATION_REFUSED, 'reservation', 'refused the reservation'],
    [Status.RESOURCE_LIMIT_EXCEEDED, 'circuit', 'one of its limits'],
    [Status.PERMISSION_DENIED, 'circuit', 'denied'],
  ] as const)('%s explains why a reservation was refused', async (status, stage, reason) => {
    const { address, device } = await startWithRelay(status);
    const result = await requestReservation(device.node, [address], new AbortController().signal);
    expect(result).toMatchObject({
      ok: false,
      reason: stage,
      attempt: { stage, reason: expect.stringContaining(reason) },
    });
  });
});

test.each([
  'connect ECONNREFUSED',
  'the status is NO_RESERVATION',
  'failed with status 500',
  'failed with status OK',
])('findRelayRefusal finds nothing in "%s"', (text) => expect(findRelayRefusal(text)).toBeUndefined());
