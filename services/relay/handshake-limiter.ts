// Limits pending handshakes, which anyone can start. Above the limit the oldest one is evicted: if new ones were refused
// instead, an attacker with the maximum number of pending handshakes could block all devices. Authenticated connections
// (those that have proved the swarm key) are counted separately, and the larger group loses its oldest connection. A
// flood of unauthenticated connections therefore evicts no authenticated one, and authenticated connections that stall
// do not prevent devices from authenticating.
import type { MultiaddrConnection } from '@libp2p/interface';
import type { ProtectionOutcome } from '../private-network/psk.ts';
import type { RelayLimits } from './config.ts';
import type { RelayMetrics } from './metrics.ts';

export interface HandshakeLimiter {
  /** Counts a connection from its start until it closes or finishes its handshake. */
  begin(connection: MultiaddrConnection): void;
  /** Records the outcome of the swarm key protection. The protector calls it once for each connection. */
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
  // Both sets are in order of arrival.
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
      // The relay evicted it, and has already counted the eviction.
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
