// What waits in the relay for receivers that are slower than their senders: bounded in all, whatever the number of
// circuits. A paused stream may still receive its whole window, so when much waits, reading stops on the connections
// of those that wait, and TCP holds their devices back.
import type { Stream } from '@libp2p/interface';
import { holdReading, releaseReading } from '../swarm/muxers.ts';

/** How often what waits is added up while anything does, in milliseconds. */
const CHECK_INTERVAL_MS = 10;

/** One direction of a circuit that is paused: its receiver is slower than its sender, or a rate is kept to. */
export interface Waiting {
  readonly from: Stream;
  readonly to: Stream;
}

export interface Buffers {
  /** Counts a direction from the moment it is paused. */
  add(waiting: Waiting): void;
  /** It goes on, or has ended. */
  remove(waiting: Waiting): void;
  /** What waits now, in bytes. */
  bytes(): number;
}

/** @param maxBytes past this, nothing more is read from the connections of the senders that are paused. */
export function createBuffers(maxBytes: number): Buffers {
  const waiting = new Set<Waiting>();
  let timer: NodeJS.Timeout | undefined;
  let isTight = false;

  function bytes(): number {
    let sum = 0;
    for (const { from, to } of waiting) sum += from.readBufferLength + to.writeBufferLength;
    return sum;
  }

  function check(): void {
    isTight = bytes() > maxBytes;
    for (const each of waiting) {
      if (isTight) holdReading(each.from, each);
      else releaseReading(each.from, each);
    }
  }

  return {
    add(direction) {
      waiting.add(direction);
      // Between two checks a thousand senders could each send a window more.
      if (isTight) holdReading(direction.from, direction);
      timer ??= setInterval(check, CHECK_INTERVAL_MS);
    },
    remove(direction) {
      if (!waiting.delete(direction)) return;
      releaseReading(direction.from, direction);
      if (waiting.size > 0) return;
      clearInterval(timer);
      timer = undefined;
      isTight = false;
    },
    bytes,
  };
}
