// Which connections of an HTTP server may stay open: when the maximum is open, a new connection replaces the one that
// has been idle longest, so that clients which only hold connections keep nobody out.
import type { Socket } from 'node:net';
import { LinkedList } from './linked-list.ts';

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

/** The slot of a connection. One exists per connection, and each request moves it between two lists. */
class Slot {
  readonly socket: Socket;
  /** When the running request began; meaningful while the slot is busy. */
  busySinceMs = 0;
  state: 'idle' | 'busy' | 'closed' = 'idle';
  previous: Slot | undefined = undefined;
  next: Slot | undefined = undefined;

  constructor(socket: Socket) {
    this.socket = socket;
  }
}

const SLOT = Symbol('slot');

interface SlottedSocket extends Socket {
  [SLOT]?: Slot;
}

/** @param nowMs monotonic clock */
export function createConnectionSlots(max: number, nowMs: () => number): ConnectionSlots {
  // Both in the order in which they became so.
  const idle = new LinkedList<Slot>(['previous', 'next']);
  const busy = new LinkedList<Slot>(['previous', 'next']);

  function findReplaceable(): Slot | undefined {
    if (idle.first !== undefined) return idle.first;
    const longest = busy.first;
    return longest !== undefined && nowMs() - longest.busySinceMs > STUCK_MS ? longest : undefined;
  }

  function close(slot: Slot): void {
    if (slot.state === 'closed') return;
    (slot.state === 'idle' ? idle : busy).remove(slot);
    slot.state = 'closed';
  }

  return {
    open(socket: SlottedSocket) {
      const isFull = idle.size + busy.size >= max;
      const replaced = isFull ? findReplaceable() : undefined;
      if (isFull && replaced === undefined) {
        socket.destroy();
        return socket;
      }
      if (replaced !== undefined) {
        close(replaced);
        replaced.socket.destroy();
      }
      const slot = new Slot(socket);
      socket[SLOT] = slot;
      idle.append(slot);
      socket.once('close', () => close(slot));
      return replaced?.socket;
    },
    begin(socket: SlottedSocket) {
      const slot = socket[SLOT];
      if (slot?.state !== 'idle') return;
      idle.remove(slot);
      slot.state = 'busy';
      slot.busySinceMs = nowMs();
      busy.append(slot);
    },
    end(socket: SlottedSocket) {
      const slot = socket[SLOT];
      if (slot?.state !== 'busy') return;
      busy.remove(slot);
      slot.state = 'idle';
      idle.append(slot);
    },
    closeIdle() {
      for (let slot = idle.first; slot !== undefined; slot = slot.next) slot.socket.destroy();
    },
  };
}
