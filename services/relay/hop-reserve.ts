// The RESERVE request: a reservation makes a peer reachable through circuits of this relay, on the connection that
// reserved.
import { unixSeconds } from '../shared/clock.ts';
import { LOOP_STEP_MS } from '../shared/loop-clock.ts';
import { DeadlineQueue, type Expiring } from '../shared/deadline-queue.ts';
import type { PeerIdentity, RelayConnection } from './connection.ts';
import type { HopExchange } from './hop-exchange.ts';
import type { HopOptions } from './hop.ts';
import { createRefusalDelays } from './late-answers.ts';
import { SUPERSEDED_MS } from './liveness-limits.ts';
import { circuitLimit, type HopResponse, Status } from './messages.ts';
import type { ReservationRefusal } from './outcomes.ts';
import type { Grant, Replaced } from './reservation-store.ts';
import { createVoucherSealer } from './voucher.ts';

/**
 * Minimum time between two vouchers for one connection, in milliseconds. A client whose clock is ahead refreshes in a
 * loop; within this time it gets the last voucher again, late.
 */
const REFRESH_INTERVAL_MS = 1_000;

/** Age up to which the last voucher is given again, in milliseconds. */
const MAX_VOUCHER_AGE_MS = 60_000;

/** Serves one RESERVE request. */
export type ServeReserve = (exchange: HopExchange) => Promise<void>;

type ReserveResult = ReturnType<HopOptions['reservations']['reserve']>;

/**
 * How long the last response is kept, in milliseconds: all that wait to get it again have got it. The responses of
 * thousands of idle devices would be a part of the memory of the relay.
 */
const KEPT_MS = 2 * REFRESH_INTERVAL_MS;

/** The last response with a reservation on a connection. */
interface Granted extends Expiring {
  readonly response: Promise<HopResponse>;
  readonly signedAtMs: number;
  answeredAtMs: number;
}

export function createReserveHandler(options: HopOptions): ServeReserve {
  const { reservations, metrics, refusals, log, clock, lateAnswers, events } = options;
  const { identity, limits } = options.config;
  const sealVoucher = createVoucherSealer(identity);
  const refusalDelays = createRefusalDelays(clock.nowMs);
  const granted = new Map<RelayConnection, Granted>();
  const keptUntil = new DeadlineQueue(KEPT_MS, { clock });
  /** The connections whose close releases their reservation. One may reserve again after it was superseded. */
  const watched = new Set<RelayConnection>();
  /** The last addresses that were not empty, for refreshes while a network interface is down. */
  let lastAddresses: Uint8Array[] = [];

  // Every refusal is RESERVATION_REFUSED, because rust-libp2p treats any other status except RESOURCE_LIMIT_EXCEEDED as
  // a protocol violation and closes the connection.
  function refuse(exchange: HopExchange, reason: ReservationRefusal): void {
    const { peer, address } = exchange.connection;
    metrics.reservation(reason);
    refusals.refused('reservation', reason, { peer: peer.id, address });
    exchange.conclude({ status: Status.RESERVATION_REFUSED });
  }

  async function refuseLate(exchange: HopExchange, reason: ReservationRefusal): Promise<void> {
    const peer = exchange.connection.peer.id;
    await lateAnswers.wait(peer, refusalDelays.next(peer), exchange);
    refuse(exchange, reason);
  }

  /** A peer that was refused shortly before waits, and is granted what has become possible meanwhile. */
  async function reserve(exchange: HopExchange): Promise<ReserveResult> {
    const { connection } = exchange;
    const peer = connection.peer.id;
    // Without a pause in between, because the connection could close in it.
    const attempt = (): ReserveResult => {
      const reserved = reservations.reserve(peer, connection, connection.network);
      if (reserved.ok) hold(peer, connection, reserved.grant);
      return reserved;
    };
    const first = attempt();
    if (first.ok) return first;
    const delayMs = refusalDelays.next(peer);
    await lateAnswers.wait(peer, delayMs, exchange);
    return delayMs > 0 && exchange.isOpen() && connection.isOpen ? attempt() : first;
  }

  function forget(connection: RelayConnection): void {
    const answer = granted.get(connection);
    if (answer === undefined) return;
    granted.delete(connection);
    keptUntil.remove(answer);
  }

  function release(peer: string, connection: RelayConnection): void {
    watched.delete(connection);
    forget(connection);
    const ageMs = reservations.release(peer, connection);
    if (ageMs === undefined) return;
    log.debug({ peer, ageMs }, 'reservation released');
    events.released({ peer, connection, ageMs, reason: 'closed' });
  }

  /** The connection that held the reservation may be left over from another network. If it answers, it may stay. */
  async function supersede(peer: string, previous: RelayConnection): Promise<void> {
    const isHeard = await options.probe(previous, SUPERSEDED_MS);
    if (isHeard || !previous.isOpen || reservations.isHolder(previous)) return;
    log.debug({ peer }, 'superseded connection closed');
    metrics.supersededClosed();
    previous.abort(new Error('The peer reserved on another connection, and this one did not answer a ping.'));
  }

  /** The full relay gave the reservation of this connection to another peer. Its device notices when it closes. */
  function replace({ holder, reason }: Replaced): void {
    metrics.connectionRefused(reason);
    refusals.refused('connection', reason, { peer: holder.peer.id, address: holder.address });
    holder.abort(
      new Error('The relay has the maximum number of reservations, and gave this one to another peer.'),
    );
  }

  function hold(peer: string, connection: RelayConnection, grant: Grant): void {
    if (grant.kind === 'refresh') return;
    if (!watched.has(connection)) connection.onceClosed(() => release(peer, connection));
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
  async function respond(exchange: HopExchange): Promise<HopResponse> {
    const { connection } = exchange;
    const last = granted.get(connection);
    const currentMs = clock.nowMs();
    const dueMs = (last?.answeredAtMs ?? 0) + REFRESH_INTERVAL_MS;
    if (last !== undefined && currentMs < dueMs - LOOP_STEP_MS) {
      await lateAnswers.wait(connection.peer.id, dueMs - currentMs, exchange);
      last.answeredAtMs = Math.max(last.answeredAtMs, clock.nowMs());
      if (granted.get(connection) === last) keptUntil.add(last);
      if (last.answeredAtMs < last.signedAtMs + MAX_VOUCHER_AGE_MS) return last.response;
    }
    const response = sign(connection.peer);
    forget(connection);
    const times = { signedAtMs: currentMs, answeredAtMs: currentMs };
    const answer = { response, ...times, expire: () => void granted.delete(connection) };
    granted.set(connection, answer);
    keptUntil.add(answer);
    // A failure is not repeated to the next request.
    response.catch(() => forget(connection));
    return response;
  }

  async function sign(peer: PeerIdentity): Promise<HopResponse> {
    const expiresUnixSeconds = unixSeconds() + limits.reservationSeconds;
    const voucher = await sealVoucher(peer, expiresUnixSeconds);
    return {
      status: Status.OK,
      reservation: { expiresUnixSeconds, addresses: lastAddresses, voucher },
      limit: circuitLimit(limits),
    };
  }

  return async (exchange) => {
    const { connection } = exchange;
    const peer = connection.peer.id;
    if (connection.isRelayed) return refuseLate(exchange, 'relayed');
    const addresses = options.addresses().map((address) => address.bytes);
    if (addresses.length > 0) lastAddresses = addresses;
    // Clients treat a reservation without an address as a protocol violation.
    else if (!reservations.isHolder(connection)) return refuseLate(exchange, 'no_address');
    // No callback would release the reservation of a connection that has closed while its request was read.
    if (!connection.isOpen) return;
    const reserved = await reserve(exchange);
    if (!reserved.ok) return refuse(exchange, reserved.reason);
    refusalDelays.clear(peer);
    metrics.reservation('ok');
    log.debug({ peer, grant: reserved.grant.kind }, 'reserved');
    exchange.conclude(await respond(exchange));
  };
}
