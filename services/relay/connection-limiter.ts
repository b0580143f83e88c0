// The connection limiter: limits connections in total, per peer and per address, and closes idle and stalled
// connections. It keeps its own counts, because the library copies the list of all connections for each query.
import type { Connection, ConnectionGater, MultiaddrConnection } from '@libp2p/interface';
import type { HandshakeLimiter } from '../private-network/handshake-limiter.ts';
import { clientNetwork } from '../shared/client-network.ts';
import { monotonicMs } from '../shared/clock.ts';
import type { RelayLimits } from './config.ts';
import { createByAddress } from './by-address.ts';
import { addTo } from './counts.ts';
import { createIdleConnections } from './idle-connections.ts';
import { DEAD_MS, EVICTABLE_MS } from './liveness-limits.ts';
import type { AnyConnection, Liveness } from './liveness.ts';
import type { RelayMetrics } from './metrics.ts';
import type { ConnectionRefusal } from './outcomes.ts';
import type { RefusalLog } from './refusal-log.ts';
import type { TcpTimeouts } from './tcp-timeouts.ts';

export interface ConnectionLimiterOptions {
  readonly limits: RelayLimits;
  readonly handshakes: HandshakeLimiter;
  readonly metrics: RelayMetrics;
  readonly refusals: RefusalLog;
  /** All open connections. */
  connections(): Connection[];
  /** Whether the connection holds a reservation. */
  isHolder(connection: AnyConnection): boolean;
  readonly liveness: Liveness;
  readonly tcpTimeouts: Pick<TcpTimeouts, 'apply'>;
}

export interface ConnectionLimiter {
  readonly gater: ConnectionGater;
  /**
   * Closes connections without reservation and use after `idleSeconds`, and connections that send bytes but accept none
   * for `circuitIdleSeconds`. Call it every few seconds.
   */
  closeIdle(): Promise<void>;
}

/** An open connection, or one in its handshake. */
interface TrackedConnection {
  readonly address: string;
  /** Known after the handshake. */
  peer: string | undefined;
  /** Last time at which it accepted bytes, had none to send, or was quiet. */
  writableAtMs: number;
  /** Last time at which it accepted bytes or had none to send. */
  drainedAtMs: number;
}

/** @param nowMs clock of the silence of peers */
export function createConnectionLimiter(
  options: ConnectionLimiterOptions,
  nowMs: () => number = monotonicMs,
): ConnectionLimiter {
  const { limits, handshakes, metrics, liveness, isHolder, refusals } = options;
  const { connectionsPerAddress: maxPerAddress = Number.POSITIVE_INFINITY } = limits;
  const tracked = new Map<MultiaddrConnection, TrackedConnection>();
  // Includes pending handshakes, because starting handshakes is the cheapest attack on a relay.
  const countByAddress = new Map<string, number>();
  const openByPeer = new Map<string, Set<MultiaddrConnection>>();
  const openByAddress = createByAddress<MultiaddrConnection>();
  const areAddressesReal = limits.connectionsPerAddress !== undefined;
  const idle = createIdleConnections(options, nowMs);
  let open = 0;

  function refuse(reason: ConnectionRefusal, connection: MultiaddrConnection, peer?: string): true {
    metrics.connectionRefused(reason);
    refusals.refused('connection', reason, {
      address: connection.remoteAddr.toString(),
      ...(peer === undefined ? {} : { peer }),
    });
    return true;
  }

  /** Whether another connection may be opened. At the maximum, the longest idle one is closed for it. */
  function evictIdle(): boolean {
    const evicted = idle.longest();
    if (evicted === undefined) return false;
    metrics.connectionRefused('idle');
    const request = { peer: evicted.remotePeer.toString(), address: evicted.remoteAddr.toString() };
    refusals.refused('connection', 'idle', request);
    evicted.abort(
      new Error('The relay has the maximum number of connections, and this one was the longest idle.'),
    );
    return true;
  }

  /** The connections of the address that has the most, for an address without any. */
  function crowdFor(address: string): ReadonlySet<MultiaddrConnection> {
    return !areAddressesReal || openByAddress.count(address) > 0 ? new Set() : openByAddress.largest();
  }

  /** The newest connection of the address that has the most, without reservation if possible. */
  function newestOfCrowd(address: string): MultiaddrConnection | undefined {
    const crowd = [...crowdFor(address)];
    return crowd.findLast((connection) => !isHolder(connection)) ?? crowd.at(-1);
  }

  function evictCrowding(address: string): boolean {
    const evicted = newestOfCrowd(address);
    if (evicted === undefined) return false;
    const peer = tracked.get(evicted)?.peer;
    refuse('crowding', evicted, peer);
    evicted.abort(
      new Error('The relay has the maximum number of connections, and most of them come from this address.'),
    );
    return true;
  }

  function untrack(connection: MultiaddrConnection): void {
    const entry = tracked.get(connection);
    if (entry === undefined) return;
    tracked.delete(connection);
    addTo(countByAddress, entry.address, -1);
    if (entry.peer === undefined) return;
    open -= 1;
    openByAddress.remove(entry.address, connection);
    const ofPeer = openByPeer.get(entry.peer);
    ofPeer?.delete(connection);
    if (ofPeer?.size === 0) openByPeer.delete(entry.peer);
  }

  /**
   * Closes the connection of a peer that has been quiet for the longest time, one with a reservation last. Returns
   * whether there was a quiet one.
   */
  function evictQuiet(ofPeer: ReadonlySet<MultiaddrConnection>): boolean {
    const [evicted] = [...ofPeer]
      .filter((connection) => liveness.quietMs(connection) >= EVICTABLE_MS)
      .toSorted(
        (a, b) => Number(isHolder(a)) - Number(isHolder(b)) || liveness.quietMs(b) - liveness.quietMs(a),
      );
    if (evicted === undefined) return false;
    metrics.connectionRefused('quiet');
    evicted.abort(new Error('The peer has the maximum number of connections, and this one sent no bytes.'));
    return true;
  }

  function hasRoom(peer: string): boolean {
    const ofPeer = openByPeer.get(peer);
    return ofPeer === undefined || ofPeer.size < limits.connectionsPerPeer || evictQuiet(ofPeer);
  }

  return {
    gater: {
      denyInboundConnection(connection) {
        // None is evicted before the other side has proved the swarm key and its peer id.
        const address = addressOf(connection);
        const isFull = open >= limits.connections && idle.longest() === undefined;
        if (isFull && crowdFor(address).size === 0) return refuse('all', connection);
        if ((countByAddress.get(address) ?? 0) >= maxPerAddress) return refuse('address', connection);
        addTo(countByAddress, address, 1);
        tracked.set(connection, { address, peer: undefined, writableAtMs: nowMs(), drainedAtMs: nowMs() });
        connection.addEventListener('close', () => untrack(connection));
        handshakes.begin(connection);
        return false;
      },
      denyInboundUpgradedConnection(peerId, connection) {
        // If it closed during its handshake, no further close event would untrack it.
        const entry = tracked.get(connection);
        if (entry === undefined) return true;
        handshakes.finish(connection);
        // Other handshakes may have finished since this one began.
        const peer = peerId.toString();
        if (!hasRoom(peer)) return refuse('peer', connection, peer);
        if (open >= limits.connections && !evictIdle() && !evictCrowding(entry.address))
          return refuse('all', connection, peer);
        entry.peer = peer;
        const ofPeer = openByPeer.get(peer) ?? new Set();
        openByPeer.set(peer, ofPeer.add(connection));
        open += 1;
        openByAddress.add(entry.address, connection);
        connection.addEventListener('drain', () => (entry.drainedAtMs = entry.writableAtMs = nowMs()));
        liveness.watch(connection);
        options.tcpTimeouts.apply(connection);
        return false;
      },
    },
    async closeIdle() {
      abortStalled(tracked, options, nowMs());
      await Promise.all(
        idle.expired().map(async (connection) => {
          metrics.idleClosed();
          await connection.close().catch((error: Error) => connection.abort(error));
        }),
      );
    },
  };
}

/**
 * Aborts connections that accept none of the bytes sent to them although they send bytes: their peer does not read. While
 * a connection is quiet its network may be interrupted, which it survives until it is dead.
 */
function abortStalled(
  tracked: ReadonlyMap<MultiaddrConnection, TrackedConnection>,
  { limits, metrics, liveness }: ConnectionLimiterOptions,
  currentMs: number,
): void {
  for (const [connection, entry] of tracked) {
    if (!connection.writableNeedsDrain) entry.drainedAtMs = currentMs;
    if (!connection.writableNeedsDrain || liveness.isQuiet(connection)) entry.writableAtMs = currentMs;
    const isStuck = currentMs - entry.writableAtMs >= limits.circuitIdleSeconds * 1000;
    if (!isStuck && currentMs - entry.drainedAtMs < DEAD_MS) continue;
    metrics.stuckClosed();
    connection.abort(new Error('The connection accepted none of the bytes sent to it.'));
  }
}

/** The source of a connection: its IPv4 address or IPv6 network. */
export function addressOf({ remoteAddr }: Pick<Connection, 'remoteAddr'>): string {
  return clientNetwork(remoteAddr.getComponents()[0]?.value ?? '');
}
