// Idle connections: those with neither a reservation nor a stream that counts. They are closed at the idle timeout and,
// when the relay has the maximum number of connections, earlier for new ones.
import type { RelayLimits } from './config.ts';
import type { RelayConnection } from './connection.ts';
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
  expired(): RelayConnection[];
  /** The longest idle one. */
  longest(): RelayConnection | undefined;
}

interface IdleConnectionsOptions {
  readonly limits: Pick<RelayLimits, 'idleSeconds'>;
  /** All open connections. */
  connections(): Iterable<RelayConnection>;
  /** Whether the connection holds a reservation. */
  isHolder(connection: RelayConnection): boolean;
}

/** @param nowMs monotonic clock */
export function createIdleConnections(
  { limits, connections, isHolder }: IdleConnectionsOptions,
  nowMs: () => number,
): IdleConnections {
  // The longest idle one is the first.
  const idleSinceMs = new Map<RelayConnection, number>();
  let searchedAtMs = Number.NEGATIVE_INFINITY;

  function isIdle(connection: RelayConnection): boolean {
    return !isHolder(connection) && !connection.hasStreamsExcept(UNCOUNTED_PROTOCOLS);
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

  function firstIdle(): RelayConnection | undefined {
    for (const connection of idleSinceMs.keys()) {
      if (connection.isOpen && isIdle(connection)) return connection;
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
