// Memory for bytes that wait for slow receivers, with one limit for all circuits together. A paused stream can still
// receive its whole window. Above the limit the relay therefore stops reading from the connections of paused senders,
// and TCP slows them down.
import type { RelayLimits } from './config.ts';

/** Interval at which the waiting bytes are counted again while a direction is paused, in milliseconds. */
const CHECK_INTERVAL_MS = 10;

/** One direction of a circuit that is paused: its receiver is slower than its sender, or its rate is limited. */
export interface PausedDirection {
  /** Bytes that wait in the relay. */
  waitingBytes(): number;
  /** Maximum bytes that can wait while the connection of the sender is read. */
  maxWaitingBytes(): number;
  /** Reads no bytes from the connection of the sender until `releaseReading`. Repeated calls have no effect. */
  holdReading(): void;
  releaseReading(): void;
}

export interface Buffers {
  /** Counts a direction; called when it is paused. */
  add(direction: PausedDirection): void;
  /** Stops counting a direction; called when it resumes or ends. */
  remove(direction: PausedDirection): void;
  /** Bytes that wait for slow receivers. */
  bytes(): number;
}

/**
 * Reads from the connection of a paused sender only while all that can arrive (a window) fits into `bufferedBytes`.
 * Otherwise reading stops, and only the bytes of the last socket read are buffered.
 */
export function createBuffers(limits: Pick<RelayLimits, 'bufferedBytes'>): Buffers {
  /** Bytes reserved for each paused direction. */
  const reservedBytes = new Map<PausedDirection, number>();
  let totalBytes = 0;
  let timer: NodeJS.Timeout | undefined;

  // Reserves whole windows, because a thousand senders can fill their windows within one iteration of the event loop,
  // long before the next check.
  function reserve(direction: PausedDirection): void {
    const maxBytes = direction.maxWaitingBytes();
    const isHeld = totalBytes + maxBytes > limits.bufferedBytes;
    if (isHeld) direction.holdReading();
    else direction.releaseReading();
    const bytes = isHeld ? direction.waitingBytes() : maxBytes;
    reservedBytes.set(direction, bytes);
    totalBytes += bytes;
  }

  function check(): void {
    totalBytes = 0;
    for (const direction of reservedBytes.keys()) reserve(direction);
  }

  return {
    add(direction) {
      if (reservedBytes.has(direction)) return;
      reserve(direction);
      timer ??= setInterval(check, CHECK_INTERVAL_MS);
    },
    remove(direction) {
      totalBytes -= reservedBytes.get(direction) ?? 0;
      if (!reservedBytes.delete(direction)) return;
      direction.releaseReading();
      if (reservedBytes.size > 0) return;
      clearInterval(timer);
      timer = undefined;
    },
    bytes() {
      let sum = 0;
      for (const direction of reservedBytes.keys()) sum += direction.waitingBytes();
      return sum;
    },
  };
}
