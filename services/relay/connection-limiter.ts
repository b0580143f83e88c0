// Who may connect, and who may stay: bounds on connections in all, of one peer and from one address, and an end to
// those that are of no use. It counts by itself: the library copies the list of all connections whenever it is asked.
import type { Connection, ConnectionGater, MultiaddrConnection } from '@libp2p/interface';
import { clientNetwork } from '../shared/client-network.ts';
import { addTo } from './counts.ts';
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

/** A connection that is here. */
interface Guest {
  readonly address: string;
  /** Known when the handshake is over. */
  peer: string | undefined;
  /** When it last took something, or had nothing to take. */
  movedAt: number;
}

/** @param now the time in milliseconds, from any start. */
export function createGate(options: GateOptions, now: () => number = () => performance.now()): Gate {
  const { handshakes, metrics } = options;
  const maxPerAddress = options.maxConnectionsPerAddress ?? Number.POSITIVE_INFINITY;
  const guests = new Map<MultiaddrConnection, Guest>();
  // Handshakes included: the cheapest way to fill a relay is to begin them.
  const byAddress = new Map<string, number>();
  const byPeer = new Map<string, number>();
  const idleSince = new Map<Connection, number>();
  let open = 0;

  function refuse(reason: ConnectionRefusal): true {
    metrics.connectionRefused(reason);
    return true;
  }

  function leave(connection: MultiaddrConnection): void {
    const guest = guests.get(connection);
    if (guest === undefined) return;
    guests.delete(connection);
    addTo(byAddress, guest.address, -1);
    if (guest.peer === undefined) return;
    addTo(byPeer, guest.peer, -1);
    open -= 1;
  }

  function closeStuck(): void {
    for (const [connection, guest] of guests) {
      if (!connection.writableNeedsDrain) guest.movedAt = now();
      else if (now() - guest.movedAt >= options.stuckSeconds * 1000) {
        metrics.stuckClosed();
        connection.abort(new Error('nothing that was sent has arrived for too long'));
      }
    }
  }

  function overdue(): Connection[] {
    const all = new Set(options.connections());
    for (const connection of idleSince.keys()) if (!all.has(connection)) idleSince.delete(connection);
    return [...all].filter((connection) => {
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
        if (open >= options.maxConnections) return refuse('all');
        const address = addressOf(connection);
        if ((byAddress.get(address) ?? 0) >= maxPerAddress) return refuse('address');
        addTo(byAddress, address, 1);
        guests.set(connection, { address, peer: undefined, movedAt: now() });
        connection.addEventListener('close', () => leave(connection));
        handshakes.begin(connection);
        return false;
      },
      denyInboundUpgradedConnection(peerId, connection) {
        // It may have closed while its handshake went on, and closes no second time.
        const guest = guests.get(connection);
        if (guest === undefined) return true;
        handshakes.finish(connection);
        // Others have finished theirs in the meantime.
        if (open >= options.maxConnections) return refuse('all');
        const peer = peerId.toString();
        if ((byPeer.get(peer) ?? 0) >= options.maxConnectionsPerPeer) return refuse('peer');
        guest.peer = peer;
        addTo(byPeer, peer, 1);
        open += 1;
        connection.addEventListener('drain', () => (guest.movedAt = now()));
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
