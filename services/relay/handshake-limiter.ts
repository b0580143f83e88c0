// Connections whose handshake is not finished. Anyone can open one, so their number is limited; above the limit the
// oldest one is evicted. Refusing the new one instead would let an attacker that holds all of them keep every device
// out. Authenticated connections, which have shown the swarm key, are counted apart, and the larger group loses its
// oldest: a flood of unauthenticated connections evicts no authenticated one, and authenticated ones that stall do not
// keep a device from showing the swarm key.
import type { MultiaddrConnection } from '@libp2p/interface';
import type { ProtectionOutcome } from '../private-network/psk.ts';
import type { RelayLimits } from './config.ts';
import type { RelayMetrics } from './metrics.ts';

export interface HandshakeLimiter {
  /** Counts a connection from its start until it closes or finishes its handshake. */
  begin(connection: MultiaddrConnection): void;
  /** Records whether a connection showed the swarm key; the protector calls it once for each. */
  authenticated(outcome: ProtectionOutcome, connection: MultiaddrConnection): void;
  /** The handshake is finished: the peer id is verified and the muxer is chosen. */
  finish(connection: MultiaddrConnection): void;
  /** Pending handshakes. */
  pending(): number;
}

export function createHandshakeLimiter(
  limits: Pick<RelayLimits, 'pendingConnections'>,
  metrics: Pick<RelayMetrics, 'handshake' | 'connectionRefused'>,
): HandshakeLimiter {
  // Both in order of arrival.
  const unauthenticated = new Set<MultiaddrConnection>();
  const authenticated = new Set<MultiaddrConnection>();
  const evicted = new WeakSet<MultiaddrConnection>();

  function evictOldest(): void {
    const [oldest] = unauthenticated.size >= authenticated.size ? unauthenticated : authenticated;
    if (oldest === undefined) return;
    metrics.connectionRefused('pending');
    evicted.add(oldest);
    unauthenticated.delete(oldest);
    authenticated.delete(oldest);
    oldest.abort(
      new Error('The connection was evicted: the relay has the maximum number of pending handshakes.'),
    );
  }

  return {
    begin(connection) {
      if (unauthenticated.size + authenticated.size >= limits.pendingConnections) evictOldest();
      unauthenticated.add(connection);
      connection.addEventListener('close', () => {
        unauthenticated.delete(connection);
        if (authenticated.delete(connection)) metrics.handshake('unfinished');
      });
    },
    authenticated(outcome, connection) {
      // The relay ended it, which is already counted as an eviction.
      if (evicted.has(connection)) return;
      if (outcome !== 'ok') metrics.handshake(outcome);
      else if (unauthenticated.delete(connection)) authenticated.add(connection);
    },
    finish(connection) {
      if (authenticated.delete(connection)) metrics.handshake('ok');
    },
    pending: () => unauthenticated.size + authenticated.size,
  };
}
