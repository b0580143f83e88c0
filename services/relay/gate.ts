// Who may connect, and who may stay: bounds on connections in all, of one peer and from one address, and an end to
// those that are of no use.
import type { Connection, ConnectionGater, MultiaddrConnection, PeerId } from '@libp2p/interface';
import type { RelayMetrics } from './metrics.ts';

export interface GateOptions {
  readonly maxConnections: number;
  readonly maxConnectionsPerPeer: number;
  /** `undefined` where addresses are not those of the devices: behind a load balancer all share one. */
  readonly maxConnectionsPerAddress: number | undefined;
  /** How long a connection without reservation and without streams may stay. */
  readonly idleSeconds: number;
  readonly metrics: RelayMetrics;
  connections(): Connection[];
  connectionsTo(peer: PeerId): Connection[];
  isReserved(peer: string): boolean;
}

export interface Gate {
  readonly gater: ConnectionGater;
  /** Closes connections that have been idle for too long; to be called every few seconds. */
  closeIdle(): Promise<void>;
}

/** @param now the time in milliseconds, from any start. */
export function createGate(options: GateOptions, now: () => number = () => performance.now()): Gate {
  const { metrics, maxConnectionsPerAddress } = options;
  const idleSince = new Map<Connection, number>();

  function isAddressFull(connection: MultiaddrConnection): boolean {
    if (maxConnectionsPerAddress === undefined) return false;
    const address = addressOf(connection);
    return (
      options.connections().filter((open) => addressOf(open) === address).length >= maxConnectionsPerAddress
    );
  }

  return {
    gater: {
      denyInboundConnection(connection) {
        if (options.connections().length >= options.maxConnections) metrics.connectionRefused('all');
        else if (isAddressFull(connection)) metrics.connectionRefused('address');
        else return false;
        return true;
      },
      denyInboundEncryptedConnection(peer) {
        if (options.connectionsTo(peer).length < options.maxConnectionsPerPeer) return false;
        metrics.connectionRefused('peer');
        return true;
      },
    },
    async closeIdle() {
      const open = new Set(options.connections());
      for (const connection of idleSince.keys()) if (!open.has(connection)) idleSince.delete(connection);
      const overdue: Connection[] = [];
      for (const connection of open) {
        const isIdle =
          connection.streams.length === 0 && !options.isReserved(connection.remotePeer.toString());
        const since = idleSince.get(connection);
        if (!isIdle) idleSince.delete(connection);
        else if (since === undefined) idleSince.set(connection, now());
        else if (now() - since >= options.idleSeconds * 1000) overdue.push(connection);
      }
      await Promise.all(
        overdue.map(async (connection) => {
          metrics.idleClosed();
          await connection.close().catch((error: Error) => connection.abort(error));
        }),
      );
    },
  };
}

/** The IP address a connection comes from, as text. */
export function addressOf({ remoteAddr }: Pick<Connection, 'remoteAddr'>): string {
  return remoteAddr.getComponents()[0]?.value ?? '';
}
