// The RESERVE request: a reservation makes a peer reachable through circuits of this relay, on the connection that
// reserved.
import type { Connection, PeerId, PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { RecordEnvelope } from '@libp2p/peer-record';
import { unixSeconds } from '../shared/clock.ts';
import { LOOP_STEP_MS } from '../shared/loop-clock.ts';
import { addressOf } from './connection-limiter.ts';
import type { HopExchange } from './hop-exchange.ts';
import type { HopOptions } from './hop.ts';
import { createRefusalDelays } from './late-answers.ts';
import { SUPERSEDED_MS } from './liveness-limits.ts';
import { circuitLimit, encodeVoucher, type HopResponse, Status } from './messages.ts';
import type { ReservationRefusal } from './outcomes.ts';
import type { Grant, Replaced } from './reservation-store.ts';
import { isRelayed } from './stop.ts';

const VOUCHER_DOMAIN = 'libp2p-relay-rsvp';
const VOUCHER_CODEC = new Uint8Array([0x03, 0x02]);

/**
 * Minimum time between two vouchers for one connection, in milliseconds. A client whose clock is ahead refreshes in a
 * loop; within this time it gets the last voucher again, late.
 */
const REFRESH_INTERVAL_MS = 1_000;

/** Age up to which the last voucher is given again, in milliseconds. */
const MAX_VOUCHER_AGE_MS = 60_000;

/** Serves one RESERVE request. */
export type ServeReserve = (exchange: HopExchange, connection: Connection) => Promise<void>;

type ReserveResult = ReturnType<HopOptions['reservations']['reserve']>;

/** The last response with a reservation on a connection. */
interface Granted {
  readonly response: Promise<HopResponse>;
  readonly signedAtMs: number;
  answeredAtMs: number;
}

export function createReserveHandler(options: HopOptions): ServeReserve {
  const { reservations, metrics, refusals, log, clock, lateAnswers, events } = options;
  const { identity, limits } = options.config;
  const relay = peerIdFromPrivateKey(identity);
  const refusalDelays = createRefusalDelays(clock.nowMs);
  const granted = new WeakMap<Connection, Granted>();
  /** The connections whose close releases their reservation. One may reserve again after it was superseded. */
  const watched = new WeakSet<Connection>();
  /** The last addresses that were not empty, for refreshes while a network interface is down. */
  let lastAddresses: Uint8Array[] = [];

  // Every refusal is RESERVATION_REFUSED, because rust-libp2p treats any other status except RESOURCE_LIMIT_EXCEEDED as
  // a protocol violation and closes the connection.
  async function refuse(
    exchange: HopExchange,
    connection: Connection,
    reason: ReservationRefusal,
  ): Promise<void> {
    const peer = connection.remotePeer.toString();
    metrics.reservation(reason);
    refusals.refused('reservation', reason, { peer, address: connection.remoteAddr.toString() });
    await exchange.conclude({ status: Status.RESERVATION_REFUSED });
  }

  async function refuseLate(
    exchange: HopExchange,
    connection: Connection,
    reason: ReservationRefusal,
  ): Promise<void> {
    const peer = connection.remotePeer.toString();
    await lateAnswers.wait(peer, refusalDelays.next(peer), exchange);
    return refuse(exchange, connection, reason);
  }

  /** A peer that was refused shortly before waits, and is granted what has become possible meanwhile. */
  async function reserve(exchange: HopExchange, connection: Connection): Promise<ReserveResult> {
    const peer = connection.remotePeer.toString();
    // Without a pause in between, because the connection could close in it.
    const attempt = (): ReserveResult => {
      const reserved = reservations.reserve(peer, connection, addressOf(connection));
      if (reserved.ok) hold(peer, connection, reserved.grant);
      return reserved;
    };
    const first = attempt();
    if (first.ok) return first;
    const delayMs = refusalDelays.next(peer);
    await lateAnswers.wait(peer, delayMs, exchange);
    return delayMs > 0 && exchange.isOpen() && connection.status === 'open' ? attempt() : first;
  }

  function release(peer: string, connection: Connection): void {
    const ageMs = reservations.release(peer, connection);
    if (ageMs === undefined) return;
    log.debug({ peer, ageMs }, 'reservation released');
    events.released({ peer, connection, ageMs, reason: 'closed' });
  }

  /** The connection that held the reservation may be left over from another network. If it answers, it may stay. */
  async function supersede(peer: string, previous: Connection): Promise<void> {
    const isHeard = await options.probe(previous, SUPERSEDED_MS);
    if (isHeard || previous.status !== 'open' || reservations.isHolder(previous)) return;
    log.debug({ peer }, 'superseded connection closed');
    metrics.supersededClosed();
    previous.abort(new Error('The peer reserved on another connection, and this one did not answer a ping.'));
  }

  /** The full relay gave the reservation of this connection to another peer. Its device notices when it closes. */
  function replace({ holder, reason }: Replaced): void {
    metrics.connectionRefused(reason);
    const request = { peer: holder.remotePeer.toString(), address: holder.remoteAddr.toString() };
    refusals.refused('connection', reason, request);
    holder.abort(
      new Error('The relay has the maximum number of reservations, and gave this one to another peer.'),
    );
  }

  function hold(peer: string, connection: Connection, grant: Grant): void {
    if (grant.kind === 'refresh') return;
    if (!watched.has(connection)) connection.addEventListener('close', () => release(peer, connection));
    watched.add(connection);
    if (grant.kind === 'new' && grant.replaced !== undefined) replace(grant.replaced);
    if (grant.kind === 'moved') {
      const { previous, previousAgeMs: ageMs } = grant;
      events.released({ peer, connection: previous, ageMs, reason: 'moved' });
      void supersede(peer, previous);
    }
    events.granted({ peer, connection, kind: grant.kind });
  }

  /** A new response, or late the last one when it was given less than a second ago. */
  async function respond(exchange: HopExchange, connection: Connection): Promise<HopResponse> {
    const last = granted.get(connection);
    const currentMs = clock.nowMs();
    const dueMs = (last?.answeredAtMs ?? 0) + REFRESH_INTERVAL_MS;
    if (last !== undefined && currentMs < dueMs - LOOP_STEP_MS) {
      await lateAnswers.wait(connection.remotePeer.toString(), dueMs - currentMs, exchange);
      last.answeredAtMs = Math.max(last.answeredAtMs, clock.nowMs());
      if (last.answeredAtMs < last.signedAtMs + MAX_VOUCHER_AGE_MS) return last.response;
    }
    const response = sign(connection.remotePeer);
    granted.set(connection, { response, signedAtMs: currentMs, answeredAtMs: currentMs });
    // A failure is not repeated to the next request.
    response.catch(() => granted.delete(connection));
    return response;
  }

  async function sign(peer: PeerId): Promise<HopResponse> {
    const expiresUnixSeconds = unixSeconds() + limits.reservationSeconds;
    const voucher = await sealVoucher(identity, relay, peer, expiresUnixSeconds);
    return {
      status: Status.OK,
      reservation: { expiresUnixSeconds, addresses: lastAddresses, voucher },
      limit: circuitLimit(limits),
    };
  }

  return async (exchange, connection) => {
    const peer = connection.remotePeer.toString();
    if (isRelayed(connection)) return refuseLate(exchange, connection, 'relayed');
    const addresses = options.addresses().map((address) => address.bytes);
    if (addresses.length > 0) lastAddresses = addresses;
    // Clients treat a reservation without an address as a protocol violation.
    else if (!reservations.isHolder(connection)) return refuseLate(exchange, connection, 'no_address');
    // No event would release the reservation of a connection that has closed while its request was read.
    if (connection.status !== 'open') return;
    const reserved = await reserve(exchange, connection);
    if (!reserved.ok) return refuse(exchange, connection, reserved.reason);
    refusalDelays.clear(peer);
    metrics.reservation('ok');
    log.debug({ peer, grant: reserved.grant.kind }, 'reserved');
    await exchange.conclude(await respond(exchange, connection));
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
