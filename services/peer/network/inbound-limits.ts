// Limits of the connections that others open to this device: direct ones, which everyone in its networks can open, and
// circuits, which come through a relay. Each kind has limits of its own, so that a flood of one does not shut out the
// other. The limits of the library count both together, and refuse new connections at the maximum.
import type { Connection, ConnectionGater, MultiaddrConnection } from '@libp2p/interface';
import { CODE_P2P_CIRCUIT, type Multiaddr } from '@multiformats/multiaddr';
import { createHandshakeLimiter } from '../../private-network/handshake-limiter.ts';
import { createLibraryHandshakes, type LibraryHandshakes } from '../../private-network/library-handshakes.ts';
import { createLoopClock, type LoopClock } from '../../shared/loop-clock.ts';
import type { ProtectorOptions } from '../../private-network/adapters/protector.ts';

/** Limits of one kind of connections. */
export interface InboundLimits {
  /** Maximum pending handshakes. Above this limit one is evicted. */
  readonly pendingConnections: number;
  /** Deadline of a handshake in seconds. */
  readonly handshakeSeconds: number;
  /** Maximum open connections. Above this limit the longest open one without a stream is evicted, or the new one refused. */
  readonly connections: number;
}

/** Of each kind: a device serves some dozens of others, and each opens several connections. */
export const INBOUND_LIMITS: InboundLimits = {
  pendingConnections: 32,
  handshakeSeconds: 10,
  connections: 128,
};

/**
 * The limits of a hub, which all devices of its user dial in the same second, each with one or two connections. An open
 * connection uses about 100 KiB, a pending handshake 28 KiB.
 *
 * @param memoryBytes what the process may use: 512 connections with 256 MiB
 */
export function hubInboundLimits(memoryBytes: number): InboundLimits {
  const connections = Math.floor(memoryBytes / HUB_BYTES_PER_CONNECTION);
  return {
    ...INBOUND_LIMITS,
    connections: Math.min(MAX_HUB_CONNECTIONS, Math.max(INBOUND_LIMITS.connections, connections)),
    pendingConnections: Math.min(
      MAX_HUB_CONNECTIONS,
      Math.max(INBOUND_LIMITS.pendingConnections, connections),
    ),
  };
}

/** Memory of a hub for each connection that it permits, of which the connection itself uses a fifth. */
const HUB_BYTES_PER_CONNECTION = 512 * 1024;

/** More devices than one user has. */
const MAX_HUB_CONNECTIONS = 2_048;

export interface InboundAdmission extends Required<Pick<ProtectorOptions, 'onOutcome' | 'admit'>> {
  readonly gater: ConnectionGater;
}

interface Kind {
  readonly handshakes: LibraryHandshakes;
  readonly open: Set<MultiaddrConnection>;
}

/**
 * @param connections all open connections of this device
 * @param clock clock of deadlines on the silence of others
 */
export function createInboundAdmission(
  limits: InboundLimits,
  connections: () => readonly Connection[],
  clock: Pick<LoopClock, 'nowMs' | 'after'> = createLoopClock(),
): InboundAdmission {
  const create = (): Kind => ({
    handshakes: createLibraryHandshakes(createHandshakeLimiter(limits, clock)),
    open: new Set(),
  });
  const [direct, circuits] = [create(), create()];
  const kindOf = ({ remoteAddr }: { readonly remoteAddr: Multiaddr }): Kind =>
    isCircuit(remoteAddr) ? circuits : direct;

  function evictIdle(kind: Kind): boolean {
    const idle = connections()
      .filter((each) => each.direction === 'inbound' && each.status === 'open' && kindOf(each) === kind)
      .filter(({ streams }) => streams.length === 0)
      .toSorted((a, b) => a.timeline.open - b.timeline.open)[0];
    idle?.abort(
      new Error('There is the maximum number of connections, and this one was idle for the longest time.'),
    );
    return idle !== undefined;
  }

  return {
    gater: {
      denyInboundConnection(connection) {
        kindOf(connection).handshakes.begin(connection);
        return false;
      },
      denyInboundUpgradedConnection(_, connection) {
        const kind = kindOf(connection);
        kind.handshakes.finish(connection);
        // No event would remove one that has closed during its handshake.
        if (connection.status !== 'open') return true;
        if (kind.open.size >= limits.connections && !evictIdle(kind)) return true;
        kind.open.add(connection);
        connection.addEventListener('close', () => kind.open.delete(connection));
        return false;
      },
    },
    onOutcome(outcome, connection) {
      if (connection.direction === 'inbound')
        kindOf(connection).handshakes.authenticated(outcome, connection);
    },
    admit: async (connection) => kindOf(connection).handshakes.admit(connection),
  };
}

function isCircuit(address: Multiaddr): boolean {
  return address.getComponents().some(({ code }) => code === CODE_P2P_CIRCUIT);
}
