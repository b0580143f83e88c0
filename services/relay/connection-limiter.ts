// The connection limiter: limits connections in total, per peer and per address, and closes idle and stalled
// connections. It keeps its own counts, because the library copies the list of all connections for each query.
import type { Connection, ConnectionGater, MultiaddrConnection } from '@libp2p/interface';
import { clientNetwork } from '../shared/client-network.ts';
import { monotonicMs } from '../shared/clock.ts';
import type { RelayLimits } from './config.ts';
import { addTo } from './counts.ts';
import type { HandshakeLimiter } from './handshake-limiter.ts';
import type { RelayMetrics } from './metrics.ts';
import type { ConnectionRefusal } from './outcomes.ts';

export interface ConnectionLimiterOptions {
  readonly limits: RelayLimits;
  readonly handshakes: HandshakeLimiter;
  readonly metrics: RelayMetrics;
  /** All open connections. */
  connections(): Connection[];
  isReserved(peer: string): boolean;
}

export interface ConnectionLimiter {
  readonly gater: ConnectionGater;
  /**
   * Closes connections without reservation and stream after `idleSeconds`, and connections that accept none of the
   * bytes sent to them for `circuitIdleSeconds`. Call it every few seconds.
   */
  closeIdle(): Promise<void>;
}

/** An open connection, or one in its handshake. */
interface TrackedConnection {
  readonly address: string;
  /** Known after the handshake. */
  peer: string | undefined;
  /** Last time at which it accepted bytes or had none to send. */
  writableAtMs: number;
}

/** @param nowMs monotonic clock */
export function createConnectionLimiter(
  options: ConnectionLimiterOptions,
  nowMs: () => number = monotonicMs,
): ConnectionLimiter {
  const { limits, handshakes, metrics } = options;
  const { connectionsPerAddress: maxPerAddress = Number.POSITIVE_INFINITY } = limits;
  const tracked = new Map<MultiaddrConnection, TrackedConnection>();
  // Includes pending handshakes, because starting handshakes is the cheapest attack on a relay.
  const countByAddress = new Map<string, number>();
  const countByPeer = new Map<string, number>();
  const findIdle = createIdleFinder(options, nowMs);
  let open = 0;

  function refuse(reason: ConnectionRefusal): true {
    metrics.connectionRefused(reason);
    return true;
  }

  function untrack(connection: MultiaddrConnection): void {
    const entry = tracked.get(connection);
    if (entry === undefined) return;
    tracked.delete(connection);
    addTo(countByAddress, entry.address, -1);
    if (entry.peer === undefined) return;
    addTo(countByPeer, entry.peer, -1);
    open -= 1;
  }

  return {
    gater: {
      denyInboundConnection(connection) {
        if (open >= limits.connections) return refuse('all');
        const address = addressOf(connection);
        if ((countByAddress.get(address) ?? 0) >= maxPerAddress) return refuse('address');
        addTo(countByAddress, address, 1);
        tracked.set(connection, { address, peer: undefined, writableAtMs: nowMs() });
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
        if (open >= limits.connections) return refuse('all');
        const peer = peerId.toString();
        if ((countByPeer.get(peer) ?? 0) >= limits.connectionsPerPeer) return refuse('peer');
        entry.peer = peer;
        addTo(countByPeer, peer, 1);
        open += 1;
        connection.addEventListener('drain', () => (entry.writableAtMs = nowMs()));
        return false;
      },
    },
    async closeIdle() {
      abortStalled(tracked, options, nowMs());
      await Promise.all(
        findIdle().map(async (connection) => {
          metrics.idleClosed();
          await connection.close().catch((error: Error) => connection.abort(error));
        }),
      );
    },
  };
}

/** Aborts connections that accept none of the bytes sent to them. */
function abortStalled(
  tracked: ReadonlyMap<MultiaddrConnection, TrackedConnection>,
  { limits, metrics }: ConnectionLimiterOptions,
  currentMs: number,
): void {
  for (const [connection, entry] of tracked) {
    if (!connection.writableNeedsDrain) entry.writableAtMs = currentMs;
    else if (currentMs - entry.writableAtMs >= limits.circuitIdleSeconds * 1000) {
      metrics.stuckClosed();
      connection.abort(
        new Error(`The connection accepted no bytes for ${limits.circuitIdleSeconds} seconds.`),
      );
    }
  }
}

/** Finds connections that have had neither a reservation nor a stream in all checks of the last `idleSeconds`. */
function createIdleFinder(
  { limits, connections, isReserved }: ConnectionLimiterOptions,
  nowMs: () => number,
): () => Connection[] {
  const idleSinceMs = new Map<Connection, number>();

  return () => {
    const all = new Set(connections());
    for (const connection of idleSinceMs.keys()) if (!all.has(connection)) idleSinceMs.delete(connection);
    return [...all].filter((connection) => {
      const isIdle = connection.streams.length === 0 && !isReserved(connection.remotePeer.toString());
      const sinceMs = idleSinceMs.get(connection);
      if (!isIdle) idleSinceMs.delete(connection);
      else if (sinceMs === undefined) idleSinceMs.set(connection, nowMs());
      return isIdle && sinceMs !== undefined && nowMs() - sinceMs >= limits.idleSeconds * 1000;
    });
  };
}

/** The source of a connection: its IPv4 address or IPv6 network. */
export function addressOf({ remoteAddr }: Pick<Connection, 'remoteAddr'>): string {
  return clientNetwork(remoteAddr.getComponents()[0]?.value ?? '');
}
