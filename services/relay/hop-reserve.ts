// The RESERVE request: a reservation makes a peer reachable through circuits of this relay.
import type { Connection, PeerId, PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { RecordEnvelope } from '@libp2p/peer-record';
import { unixSeconds } from '../shared/clock.ts';
import { addressOf } from './connection-limiter.ts';
import type { HopExchange } from './hop-exchange.ts';
import type { HopOptions } from './hop.ts';
import { circuitLimit, encodeVoucher, Status } from './messages.ts';
import type { ReservationRefusal } from './outcomes.ts';
import { RESERVATION_SECONDS } from './reservation-store.ts';
import { isRelayed } from './stop.ts';

const VOUCHER_DOMAIN = 'libp2p-relay-rsvp';
const VOUCHER_CODEC = new Uint8Array([0x03, 0x02]);

/** Serves one RESERVE request. */
export type ServeReserve = (exchange: HopExchange, connection: Connection) => Promise<void>;

export function createReserveHandler(options: HopOptions): ServeReserve {
  const { reservations, metrics, log } = options;
  const { identity, limits } = options.config;
  const relay = peerIdFromPrivateKey(identity);

  // Every refusal is RESERVATION_REFUSED, because rust-libp2p treats any other status except RESOURCE_LIMIT_EXCEEDED as
  // a protocol violation and closes the connection.
  async function refuse(exchange: HopExchange, peer: PeerId, reason: ReservationRefusal): Promise<void> {
    metrics.reservation(reason);
    log.debug({ peer: peer.toString(), reason }, 'reserve refused');
    await exchange.conclude({ status: Status.RESERVATION_REFUSED });
  }

  return async (exchange, connection) => {
    const { remotePeer } = connection;
    const peer = remotePeer.toString();
    if (isRelayed(connection)) return refuse(exchange, remotePeer, 'relayed');
    const addresses = options.addresses().map((address) => address.bytes);
    // Clients treat a reservation without an address as a protocol violation.
    if (addresses.length === 0) return refuse(exchange, remotePeer, 'no_address');
    const reserved = reservations.reserve(peer, addressOf(connection));
    if (!reserved.ok) return refuse(exchange, remotePeer, reserved.reason);
    metrics.reservation('ok');
    log.debug({ peer }, 'reserved');
    // If the peer disconnected while its request was read, no event will release the reservation.
    if (options.connectionsTo(remotePeer).length === 0) return reservations.release(peer);
    const expiresUnixSeconds = unixSeconds() + RESERVATION_SECONDS;
    const voucher = await sealVoucher(identity, relay, remotePeer, expiresUnixSeconds);
    await exchange.conclude({
      status: Status.OK,
      reservation: { expiresUnixSeconds, addresses, voucher },
      limit: circuitLimit(limits),
    });
  };
}

/** The voucher of a reservation: a proof that is signed by the relay. */
export async function sealVoucher(
  identity: PrivateKey,
  relay: PeerId,
  peer: PeerId,
  expiresUnixSeconds: number,
): Promise<Uint8Array> {
  const payload = encodeVoucher(relay.toMultihash().bytes, peer.toMultihash().bytes, expiresUnixSeconds);
  const envelope = await RecordEnvelope.seal(
    { domain: VOUCHER_DOMAIN, codec: VOUCHER_CODEC, marshal: () => payload, equals: () => false },
    identity,
  );
  return envelope.marshal();
}
