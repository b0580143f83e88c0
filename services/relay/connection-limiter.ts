// The connection limiter: limits connections in total, per peer and per address, and closes idle and stalled
// connections. It has the list of all connections.
import { monotonicMs } from '../shared/clock.ts';
import type { RelayLimits } from './config.ts';
import { createByAddress } from './by-address.ts';
import { NOBODY, type RelayConnection } from './connection.ts';
import { addTo } from './counts.ts';
import { createIdleConnections } from './idle-connections.ts';
import { DEAD_MS, EVICTABLE_MS } from './liveness-limits.ts';
import type { Liveness } from './liveness.ts';
import type { RelayMetrics } from './metrics.ts';
import type { ConnectionRefusal } from './outcomes.ts';
import type { RefusalLog } from './refusal-log.ts';
import type { TcpTimeouts } from './tcp-timeouts.ts';

export interface ConnectionLimiterOptions {
  readonly limits: RelayLimits;
  readonly metrics: RelayMetrics;
  readonly refusals: RefusalLog;
  /** Whether the connection holds a reservation. */
  isHolder(connection: RelayConnection): boolean;
  readonly liveness: Liveness;
  readonly tcpTimeouts: Pick<TcpTimeouts, 'apply'>;
}

export interface ConnectionLimiter {
  /** Admits a new connection, before its handshake, and counts it until it closes. A refused one is not counted. */
  accept(connection: RelayConnection): boolean;
  /** Admits a connection at the end of its handshake: its peer is known, and it counts as open. */
  open(connection: RelayConnection): boolean;
  /** All open connections. */
  connections(): ReadonlySet<RelayConnection>;
  /**
   * Closes connections without reservation and use after `idleSeconds`, and connections that send bytes but accept none
   * for `circuitIdleSeconds`. Call it every few seconds.
   */
  closeIdle(): void;
}

/** An open connection, or one in its handshake. */
interface TrackedConnection {
  /** Whether its handshake is finished. */
  isOpen: boolean;
  /** Last check that found that it had accepted bytes, had none to send, or was quiet. */
  writableAtMs: number;
  /** Last check that found that it had accepted bytes, or had none to send. */
  drainedAtMs: number;
  /** How often it had accepted all bytes at that check. */
  drains: number;
}

/** @param nowMs clock of the silence of peers */
export function createConnectionLimiter(
  options: ConnectionLimiterOptions,
  nowMs: () => number = monotonicMs,
): ConnectionLimiter {
  const { limits, metrics, liveness, isHolder, refusals } = options;
  const { connectionsPerAddress: maxPerAddress = Number.POSITIVE_INFINITY } = limits;
  const tracked = new Map<RelayConnection, TrackedConnection>();
  // Includes pending handshakes, because starting handshakes is the cheapest attack on a relay.
  const countByAddress = new Map<string, number>();
  // Lists of exact size, because almost every peer has one connection.
  const openByPeer = new Map<string, readonly RelayConnection[]>();
  const openByAddress = createByAddress<RelayConnection>();
  const areAddressesReal = limits.connectionsPerAddress !== undefined;
  const openConnections = new Set<RelayConnection>();
  const idle = createIdleConnections({ ...options, connections: () => openConnections }, nowMs);

  function report(reason: ConnectionRefusal, { address, peer }: RelayConnection): void {
    metrics.connectionRefused(reason);
    refusals.refused('connection', reason, { address, ...(peer === NOBODY ? {} : { peer: peer.id }) });
  }

  function refuse(reason: ConnectionRefusal, connection: RelayConnection): false {
    report(reason, connection);
    return false;
  }

  /** Whether another connection may be opened. At the maximum, the longest idle one is closed for it. */
  function evictIdle(): boolean {
    const evicted = idle.longest();
    if (evicted === undefined) return false;
    report('idle', evicted);
    evicted.abort(
      new Error('The relay has the maximum number of connections, and this one was the longest idle.'),
    );
    return true;
  }

  /** The connections of the address that has the most, for an address without any. */
  function crowdFor(address: string): ReadonlySet<RelayConnection> {
    return !areAddressesReal || openByAddress.count(address) > 0 ? new Set() : openByAddress.largest();
  }

  /** The newest connection of the address that has the most, without reservation if possible. */
  function newestOfCrowd(address: string): RelayConnection | undefined {
    const crowd = [...crowdFor(address)];
    return crowd.findLast((connection) => !isHolder(connection)) ?? crowd.at(-1);
  }

  function evictCrowding(address: string): boolean {
    const evicted = newestOfCrowd(address);
    if (evicted === undefined) return false;
    report('crowding', evicted);
    evicted.abort(
      new Error('The relay has the maximum number of connections, and most of them come from this address.'),
    );
    return true;
  }

  function untrack(connection: RelayConnection): void {
    const entry = tracked.get(connection);
    if (entry === undefined) return;
    tracked.delete(connection);
    addTo(countByAddress, connection.network, -1);
    if (!entry.isOpen) return;
    openConnections.delete(connection);
    openByAddress.remove(connection.network, connection);
    const { id } = connection.peer;
    const others = openByPeer.get(id)?.filter((other) => other !== connection) ?? [];
    if (others.length === 0) openByPeer.delete(id);
    else openByPeer.set(id, others);
  }

  /**
   * Closes the connection of a peer that has been quiet for the longest time, one with a reservation last. Returns
   * whether there was a quiet one.
   */
  function evictQuiet(ofPeer: readonly RelayConnection[]): boolean {
    const [evicted] = ofPeer
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
    return ofPeer === undefined || ofPeer.length < limits.connectionsPerPeer || evictQuiet(ofPeer);
  }

  return {
    accept(connection) {
      // None is evicted before the other side has proved the swarm key and its peer id.
      const { network } = connection;
      const isFull = openConnections.size >= limits.connections && idle.longest() === undefined;
      if (isFull && crowdFor(network).size === 0) return refuse('all', connection);
      if ((countByAddress.get(network) ?? 0) >= maxPerAddress) return refuse('address', connection);
      addTo(countByAddress, network, 1);
      const currentMs = nowMs();
      const { drains } = connection;
      tracked.set(connection, { isOpen: false, writableAtMs: currentMs, drainedAtMs: currentMs, drains });
      connection.onceClosed(() => untrack(connection));
      return true;
    },
    open(connection) {
      // If it closed during its handshake, no further callback would untrack it.
      const entry = tracked.get(connection);
      if (entry === undefined) return false;
      // Other handshakes may have finished since this one began.
      const { network, peer } = connection;
      if (!hasRoom(peer.id)) return refuse('peer', connection);
      if (openConnections.size >= limits.connections && !evictIdle() && !evictCrowding(network))
        return refuse('all', connection);
      entry.isOpen = true;
      const ofPeer = openByPeer.get(peer.id);
      openByPeer.set(peer.id, ofPeer === undefined ? [connection] : [...ofPeer, connection]);
      openConnections.add(connection);
      openByAddress.add(network, connection);
      options.tcpTimeouts.apply(connection);
      return true;
    },
    connections: () => openConnections,
    closeIdle() {
      abortStalled(tracked, options, nowMs());
      for (const connection of idle.expired()) {
        metrics.idleClosed();
        connection.close();
      }
    },
  };
}

/**
 * Aborts connections that accept none of the bytes sent to them although they send bytes: their peer does not read. While
 * a connection is quiet its network may be interrupted, which it survives until it is dead.
 */
function abortStalled(
  tracked: ReadonlyMap<RelayConnection, TrackedConnection>,
  { limits, metrics, liveness }: ConnectionLimiterOptions,
  currentMs: number,
): void {
  for (const [connection, entry] of tracked) {
    const hasDrained = !connection.hasUnsentBytes || connection.drains !== entry.drains;
    entry.drains = connection.drains;
    if (hasDrained) entry.drainedAtMs = currentMs;
    if (hasDrained || liveness.isQuiet(connection)) entry.writableAtMs = currentMs;
    const isStuck = currentMs - entry.writableAtMs >= limits.circuitIdleSeconds * 1000;
    if (!isStuck && currentMs - entry.drainedAtMs < DEAD_MS) continue;
    metrics.stuckClosed();
    connection.abort(new Error('The connection accepted none of the bytes sent to it.'));
  }
}
