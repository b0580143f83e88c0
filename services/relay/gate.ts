// Who may connect, and who may stay: bounds on connections in all, of one peer and from one address, and an end to
// those that are of no use. It counts by itself: the library copies the list of all connections whenever it is asked.
import type { Connection, ConnectionGater, MultiaddrConnection } from '@libp2p/interface';
import { clientNetwork } from '../shared/client-network.ts';
import type { Handshakes } from './handshakes.ts';
import type { ConnectionRefusal, RelayMetrics } from './metrics.ts';

export interface GateOptions {
  readonly maxConnections: number;
  readonly maxConnectionsPerPeer: number;
  /** `undefined` where addresses are not those of the devices: behind a load balancer all share one. */
  readonly maxConnectionsPerAddress: number | undefined;
  /** How long a connection without reservation and without streams may stay. */
  readonly idleSeconds: number;
  /** How long a connection may take none of what waits to be sent on it. */
  readonly stuckSeconds: number;
  readonly handshakes: Handshakes;
  readonly metrics: RelayMetrics;
  connections(): Connection[];
  isReserved(peer: string): boolean;
}

export interface Gate {
  readonly gater: ConnectionGater;
  /** Closes connections that have been idle, or stuck, for too long; to be called every few seconds. */
  closeUseless(): Promise<void>;
}

/** @param now the time in milliseconds, from any start. */
export function createGate(options: GateOptions, now: () => number = () => performance.now()): Gate {
  const { handshakes, metrics } = options;
  const maxPerAddress = options.maxConnectionsPerAddress ?? Number.POSITIVE_INFINITY;
  // Handshakes included: the cheapest way to fill a relay is to begin them.
  const byAddress = new Map<string, number>();
  const byPeer = new Map<string, number>();
  /** When each open connection last took something, or had nothing to take. */
  const movedAt = new Map<MultiaddrConnection, number>();
  const idleSince = new Map<Connection, number>();

  function refuse(reason: ConnectionRefusal): true {
    metrics.connectionRefused(reason);
    return true;
  }

  function closeStuck(): void {
    for (const [connection, since] of movedAt) {
      if (!connection.writableNeedsDrain) movedAt.set(connection, now());
      else if (now() - since >= options.stuckSeconds * 1000) {
        metrics.stuckClosed();
        connection.abort(new Error('nothing that was sent has arrived for too long'));
      }
    }
  }

  function overdue(): Connection[] {
    const open = new Set(options.connections());
    for (const connection of idleSince.keys()) if (!open.has(connection)) idleSince.delete(connection);
    return [...open].filter((connection) => {
      const isIdle = connection.streams.length === 0 && !options.isReserved(connection.remotePeer.toString());
      const since = idleSince.get(connection);
      if (!isIdle) idleSince.delete(connection);
      else if (since === undefined) idleSince.set(connection, now());
      return isIdle && since !== undefined && now() - since >= options.idleSeconds * 1000;
    });
  }

  return {
    gater: {
      denyInboundConnection(connection) {
        if (movedAt.size >= options.maxConnections) return refuse('all');
        const address = addressOf(connection);
        if ((byAddress.get(address) ?? 0) >= maxPerAddress) return refuse('address');
        countUntilClosed(byAddress, address, connection);
        handshakes.begin(connection);
        return false;
      },
      denyInboundUpgradedConnection(peer, connection) {
        // It may have closed while its handshake went on, and closes no second time.
        if (connection.status !== 'open') return true;
        handshakes.finish(connection);
        // Others have finished theirs in the meantime.
        if (movedAt.size >= options.maxConnections) return refuse('all');
        if ((byPeer.get(peer.toString()) ?? 0) >= options.maxConnectionsPerPeer) return refuse('peer');
        countUntilClosed(byPeer, peer.toString(), connection);
        movedAt.set(connection, now());
        connection.addEventListener('drain', () => {
          if (movedAt.has(connection)) movedAt.set(connection, now());
        });
        connection.addEventListener('close', () => movedAt.delete(connection));
        return false;
      },
    },
    async closeUseless() {
      closeStuck();
      await Promise.all(
        overdue().map(async (connection) => {
          metrics.idleClosed();
          await connection.close().catch((error: Error) => connection.abort(error));
        }),
      );
    },
  };
}

/** Where a connection comes from: its IPv4 address or IPv6 network, as text. */
export function addressOf({ remoteAddr }: Pick<Connection, 'remoteAddr'>): string {
  return clientNetwork(remoteAddr.getComponents()[0]?.value ?? '');
}

function countUntilClosed(counts: Map<string, number>, key: string, connection: MultiaddrConnection): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
  connection.addEventListener('close', () => {
    const left = (counts.get(key) ?? 0) - 1;
    if (left > 0) counts.set(key, left);
    else counts.delete(key);
  });
}
