// Idle connections: those with neither a reservation nor a stream that counts. They are closed at the idle timeout and,
// when the relay has the maximum number of connections, earlier for new ones.
import type { Connection } from '@libp2p/interface';
import type { RelayLimits } from './config.ts';
import type { AnyConnection } from './liveness.ts';
import { PING_PROTOCOL } from './ping.ts';

/** The protocols whose streams are no use of a connection: a peer that needs nothing from the relay uses them too. */
const UNCOUNTED_PROTOCOLS: ReadonlySet<string> = new Set([
  PING_PROTOCOL,
  '/ipfs/id/1.0.0',
  '/ipfs/id/push/1.0.0',
]);

/** Minimum time between two searches of a full relay, in milliseconds: a search checks all connections. */
const SEARCH_INTERVAL_MS = 250;

export interface IdleConnections {
  /** Those that were idle in all checks of the last `idleSeconds`. Call it every few seconds. */
  expired(): Connection[];
  /** The longest idle one. */
  longest(): Connection | undefined;
}

interface IdleConnectionsOptions {
  readonly limits: Pick<RelayLimits, 'idleSeconds'>;
  /** All open connections. */
  connections(): Connection[];
  /** Whether the connection holds a reservation. */
  isHolder(connection: AnyConnection): boolean;
}

/** @param nowMs monotonic clock */
export function createIdleConnections(
  { limits, connections, isHolder }: IdleConnectionsOptions,
  nowMs: () => number,
): IdleConnections {
  // The longest idle one is the first.
  const idleSinceMs = new Map<Connection, number>();
  let searchedAtMs = Number.NEGATIVE_INFINITY;

  function isIdle(connection: Connection): boolean {
    const isUsed = connection.streams.some(({ protocol }) => !UNCOUNTED_PROTOCOLS.has(protocol));
    return !isUsed && !isHolder(connection);
  }

  function search(): void {
    const all = new Set(connections());
    for (const connection of idleSinceMs.keys()) if (!all.has(connection)) idleSinceMs.delete(connection);
    for (const connection of all) {
      if (!isIdle(connection)) idleSinceMs.delete(connection);
      else if (!idleSinceMs.has(connection)) idleSinceMs.set(connection, nowMs());
    }
    searchedAtMs = nowMs();
  }

  function firstIdle(): Connection | undefined {
    for (const connection of idleSinceMs.keys()) {
      if (connection.status === 'open' && isIdle(connection)) return connection;
      idleSinceMs.delete(connection);
    }
    return undefined;
  }

  return {
    expired() {
      search();
      const sinceMs = nowMs() - limits.idleSeconds * 1000;
      return [...idleSinceMs].filter(([, idleMs]) => idleMs <= sinceMs).map(([connection]) => connection);
    },
    longest() {
      const found = firstIdle();
      if (found !== undefined || nowMs() - searchedAtMs < SEARCH_INTERVAL_MS) return found;
      search();
      return firstIdle();
    },
  };
}
