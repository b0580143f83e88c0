// What waits in the relay for receivers that are slower than their senders: bounded in all, whatever the number of
// circuits. A paused stream may still receive its whole window, so when much waits, reading stops on the connections
// of those that wait, and TCP holds their devices back.
import type { Stream } from '@libp2p/interface';
import { holdReading, releaseReading } from '../private-network/muxers.ts';

/** How often what waits is counted again while anything does, in milliseconds. */
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

/**
 * @param maxBytes what may wait, and what those that are read from may yet send; past it the senders of more are not
 * read from, and what one read of their socket brought is all that waits of theirs.
 * @param windowBytes what a paused stream may receive
 */
export function createBuffers(maxBytes: number, windowBytes: number): Buffers {
  /** What is set aside for each direction. */
  const waiting = new Map<Waiting, number>();
  let setAside = 0;
  let timer: NodeJS.Timeout | undefined;

  // A sender fills its whole window within one turn of the event loop, and a thousand do, so nothing can be left to the
  // next check: either there is room for all of it, or nothing more is read.
  function admit(direction: Waiting): void {
    const { from, to } = direction;
    const most = Math.max(from.readBufferLength, windowBytes) + to.writeBufferLength;
    const isHeld = setAside + most > maxBytes;
    if (isHeld) holdReading(from, direction);
    else releaseReading(from, direction);
    const bytes = isHeld ? bytesOf(direction) : most;
    waiting.set(direction, bytes);
    setAside += bytes;
  }

  function check(): void {
    setAside = 0;
    for (const direction of waiting.keys()) admit(direction);
  }

  return {
    add(direction) {
      if (waiting.has(direction)) return;
      admit(direction);
      timer ??= setInterval(check, CHECK_INTERVAL_MS);
    },
    remove(direction) {
      setAside -= waiting.get(direction) ?? 0;
      if (!waiting.delete(direction)) return;
      releaseReading(direction.from, direction);
      if (waiting.size > 0) return;
      clearInterval(timer);
      timer = undefined;
    },
    bytes() {
      let sum = 0;
      for (const direction of waiting.keys()) sum += bytesOf(direction);
      return sum;
    },
  };
}

function bytesOf({ from, to }: Waiting): number {
  return from.readBufferLength + to.writeBufferLength;
}
