import { afterEach, describe, expect, test } from '@jest/globals';
import { publicKeyFromProtobuf } from '@libp2p/crypto/keys';
import { RecordEnvelope } from '@libp2p/peer-record';
import { multiaddr } from '@multiformats/multiaddr';
import { ReservationVoucher } from '../../node_modules/@libp2p/circuit-relay-v2/dist/src/pb/index.js';
import { cleanUp } from '../../testing/cleanup.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import { until } from '../../testing/wait.ts';
import { unixSeconds } from '../shared/clock.ts';
import { hop, RESERVE, startPeer, startRelay } from '../../testing/relay.ts';

afterEach(cleanUp);

describe('a reservation', () => {
  test('has addresses, an expiry, limits in seconds and bytes, and a signed voucher', async () => {
    const relay = await startRelay();
    const peer = await startPeer();
    const response = await hop(peer, relay, RESERVE);
    expect(response.status).toBe('OK');
    expect(response.limit).toEqual({ duration: 900, data: 67_108_864n });
    expect(response.reservation?.addrs.map((bytes) => multiaddr(bytes).toString())).toEqual([
      relay.address.toString(),
    ]);
    const seconds = Number(response.reservation?.expire) - Date.now() / 1000;
    expect(Math.abs(seconds - 86_400)).toBeLessThan(30);

    const voucher = response.reservation?.voucher;
    if (voucher === undefined) throw new Error('The response has no voucher.');
    const { publicKey, payloadType, payload, signature } = voucher;
    if (payload === undefined) throw new Error('The voucher is empty.');
    const envelope = new RecordEnvelope({
      publicKey: publicKeyFromProtobuf(publicKey),
      payloadType,
      payload: ReservationVoucher.encode(payload),
      signature,
    });
    expect(await envelope.validate('libp2p-relay-rsvp')).toBe(true);
    expect(envelope.publicKey.equals(relay.peerId.publicKey)).toBe(true);
    expect(Buffer.from(payloadType).toString('hex')).toBe('0302');
    expect(Buffer.from(payload.peer)).toEqual(Buffer.from(peer.peerId.toMultihash().bytes));
    expect(Buffer.from(payload.relay)).toEqual(Buffer.from(relay.peerId.toMultihash().bytes));
    expect(payload.expiration).toBe(response.reservation?.expire);
  });

  test('has a later expiry after a refresh, and all other fields again', async () => {
    const clock = createManualClock();
    const relay = await startRelay({}, { clock });
    const peer = await startPeer();
    const first = (await hop(peer, relay, RESERVE)).reservation;
    // The expiry is in whole seconds.
    const firstSecond = unixSeconds();
    await until(() => unixSeconds() > firstSecond, 'the next second has begun');
    // Within a second of the last response the same voucher would be sent again.
    clock.advance(1_000);
    const again = (await hop(peer, relay, RESERVE)).reservation;
    expect(Number(again?.expire)).toBeGreaterThan(Number(first?.expire));
    expect(again?.addrs).toEqual(first?.addrs);
    expect(again?.voucher?.payload?.expiration).toBe(again?.expire);
    expect(await relay.metric('rustory_relay_reservations')).toBe(1);
  });

  test('is released when the last connection of its peer closes', async () => {
    const relay = await startRelay({ limits: { reservations: 1 } });
    const peer = await startPeer(relay);
    expect(await relay.metric('rustory_relay_reservations')).toBe(1);
    await peer.stop();
    await until(
      async () => (await relay.metric('rustory_relay_reservations')) === 0,
      'the reservation is released',
    );
    expect((await hop(await startPeer(), relay, RESERVE)).status).toBe('OK');
  });

  test('is refused with RESERVATION_REFUSED when the relay is full, while others are refreshed', async () => {
    const relay = await startRelay({ limits: { reservations: 1 } });
    const [first, second] = [await startPeer(relay), await startPeer()];
    expect(await hop(second, relay, RESERVE)).toEqual({ type: 'STATUS', status: 'RESERVATION_REFUSED' });
    expect((await hop(first, relay, RESERVE)).status).toBe('OK');
    expect(await relay.metric('rustory_relay_reservation_requests_total{outcome="reservations"}')).toBe(1);
  });
});
