// Which connections of an HTTP server may stay open: when the maximum is open, a new connection replaces the one that
// has been idle longest, so that clients which only hold connections keep nobody out.
import type { Socket } from 'node:net';

/**
 * A connection with a request that began longer ago is replaced too, in milliseconds. Requests are answered within
 * seconds, so this is a client that does not read its answer.
 */
const STUCK_MS = 10_000;

export interface ConnectionSlots {
  /**
   * Gives a slot to a new connection. Above the maximum, the connection that was evicted is destroyed and returned: an idle
   * one, one that is stuck, or else the new one.
   */
  open(socket: Socket): Socket | undefined;
  /** A request of the connection begins. */
  begin(socket: Socket): void;
  /** All requests of the connection have been answered. */
  end(socket: Socket): void;
  /** Destroys the connections without a running request. */
  closeIdle(): void;
}

/** @param nowMs monotonic clock */
export function createConnectionSlots(max: number, nowMs: () => number): ConnectionSlots {
  // Both in the order in which they became so.
  const idle = new Set<Socket>();
  const busySinceMs = new Map<Socket, number>();

  function findReplaceable(): Socket | undefined {
    for (const socket of idle) return socket;
    for (const [socket, sinceMs] of busySinceMs) return nowMs() - sinceMs > STUCK_MS ? socket : undefined;
    return undefined;
  }

  function close(socket: Socket): void {
    idle.delete(socket);
    busySinceMs.delete(socket);
  }

  return {
    open(socket) {
      const isFull = idle.size + busySinceMs.size >= max;
      const replaced = isFull ? (findReplaceable() ?? socket) : undefined;
      if (replaced !== undefined) {
        close(replaced);
        replaced.destroy();
      }
      if (replaced === socket) return replaced;
      idle.add(socket);
      socket.once('close', () => close(socket));
      return replaced;
    },
    begin(socket) {
      if (idle.delete(socket)) busySinceMs.set(socket, nowMs());
    },
    end(socket) {
      if (busySinceMs.delete(socket)) idle.add(socket);
    },
    closeIdle() {
      for (const socket of idle) socket.destroy();
    },
  };
}
