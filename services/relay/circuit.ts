// A circuit: two streams joined by their events, so that a byte is passed on as it comes and none is kept.
import type { Stream } from '@libp2p/interface';
import type { Bucket } from './token-bucket.ts';
import type { Buffers, Waiting } from './buffers.ts';
import type { Limit } from './messages.ts';

/** Why a circuit ended; a metric label. */
export type CircuitEnd = 'closed' | 'reset' | 'bytes' | 'duration' | 'idle' | 'shutdown';

export type Direction = 'to_target' | 'to_source';

export interface CircuitOptions {
  readonly limit: Limit;
  /** Time without a byte passed on, in either direction, after which the circuit ends. */
  readonly idleSeconds: number;
  /** Rates that each byte has to keep to; empty where there is no limit. */
  readonly rates: readonly Bucket[];
  readonly buffers: Buffers;
  /** Ends the circuit when the relay stops. */
  readonly signal: AbortSignal;
  readonly onBytes: (direction: Direction, bytes: number) => void;
}

export interface CircuitSummary {
  readonly end: CircuitEnd;
  /** Bytes passed on, in both directions together. */
  readonly bytes: number;
  readonly seconds: number;
}

/**
 * Joins two streams until both have ended, one breaks, or a limit is reached; then both are closed or reset.
 * A stream that ends after a close of its writer passes that on as a close, with all that came before it.
 *
 * Held in memory at any time: what a paused stream may still receive (`MAX_STREAM_BUFFER_BYTES`) and as much once
 * more that the other stream has yet to send, in each direction; and of all circuits together what `buffers` allows.
 */
export async function joinStreams(
  source: Stream,
  target: Stream,
  options: CircuitOptions,
): Promise<CircuitSummary> {
  const { limit, idleSeconds, rates, buffers, signal } = options;
  const ended = Promise.withResolvers<CircuitEnd>();
  const started = performance.now();
  let movedAt = started;
  let bytes = 0;

  const breakOff = (end: CircuitEnd): void => {
    // The first reason counts: breaking one stream off makes the other one report a reset.
    ended.resolve(end);
    const error = new CircuitError(end);
    source.abort(error);
    target.abort(error);
  };
  const onClose = (): void => {
    if (source.status !== 'open' && target.status !== 'open') ended.resolve('closed');
  };
  const onBytes = (direction: Direction, count: number): void => {
    movedAt = performance.now();
    bytes += count;
    options.onBytes(direction, count);
  };
  const pump = (from: Stream, to: Stream, direction: Direction): (() => void) =>
    passOn(from, to, {
      maxBytes: limit.bytes,
      rates,
      buffers,
      onBytes: (count) => onBytes(direction, count),
      onClose,
      breakOff,
    });

  const durationTimer = setTimeout(() => breakOff('duration'), limit.seconds * 1000);
  const idleTimer = setInterval(
    () => {
      if (performance.now() - movedAt >= idleSeconds * 1000) breakOff('idle');
    },
    (idleSeconds * 1000) / 4,
  );
  const onShutdown = (): void => breakOff('shutdown');
  signal.addEventListener('abort', onShutdown, { once: true });
  const stopPumps = [pump(source, target, 'to_target'), pump(target, source, 'to_source')];
  if (signal.aborted) onShutdown();
  try {
    return { end: await ended.promise, bytes, seconds: (performance.now() - started) / 1000 };
  } finally {
    clearTimeout(durationTimer);
    clearInterval(idleTimer);
    signal.removeEventListener('abort', onShutdown);
    for (const stopPump of stopPumps) stopPump();
  }
}

interface PassOnOptions {
  readonly maxBytes: number;
  readonly rates: readonly Bucket[];
  readonly buffers: Buffers;
  readonly onBytes: (bytes: number) => void;
  readonly onClose: () => void;
  readonly breakOff: (end: CircuitEnd) => void;
}

/** One direction of a circuit. Answers what ends its waiting when the circuit is over. */
function passOn(from: Stream, to: Stream, options: PassOnOptions): () => void {
  const { maxBytes, rates, buffers, onBytes, onClose, breakOff } = options;
  const waiting: Waiting = { from, to };
  let bytes = 0;
  let blocked = false;
  let throttle: NodeJS.Timeout | undefined;
  let resuming = false;
  let finished = false;

  // A stream whose connection has just gone throws; out of an event that would end the process.
  const guard = (step: () => void): void => {
    try {
      step();
    } catch {
      breakOff('reset');
    }
  };
  // Pausing from within the library's resume() would be undone by the rest of it, so it waits until that is over.
  const pauseIfNeeded = (): void => {
    const isWaiting = blocked || throttle !== undefined;
    if (!isWaiting || resuming || from.readStatus !== 'readable') return;
    from.pause();
    buffers.add(waiting);
  };
  const resume = (): void => {
    if (blocked || throttle !== undefined || from.readStatus !== 'paused') return;
    buffers.remove(waiting);
    resuming = true;
    from.resume();
    resuming = false;
    pauseIfNeeded();
  };
  // Only when the other stream has handed on all it had may more come, or its buffer would grow with each drain.
  const unblock = (): void => {
    if (!blocked || to.writeBufferLength > 0 || to.writableNeedsDrain) return;
    blocked = false;
    resume();
  };
  // The library's own listener flushes the stream in a microtask that was queued before this one.
  const onDrain = (): void => queueMicrotask(() => guard(unblock));
  const slowDown = (count: number): void => {
    const waitMs = Math.max(0, ...rates.map((rate) => rate.spend(count)));
    if (waitMs === 0 || throttle !== undefined) return;
    throttle = setTimeout(() => {
      throttle = undefined;
      guard(resume);
    }, waitMs);
  };

  from.addEventListener('message', ({ data }) => {
    if (to.status !== 'open') return;
    bytes += data.byteLength;
    if (bytes > maxBytes) {
      breakOff('bytes');
      return;
    }
    onBytes(data.byteLength);
    guard(() => {
      blocked = !to.send(data) || blocked;
      if (rates.length > 0) slowDown(data.byteLength);
      pauseIfNeeded();
    });
  });
  to.addEventListener('drain', onDrain);
  to.addEventListener('idle', onDrain);
  from.addEventListener('remoteCloseWrite', () => {
    finished = true;
  });
  from.addEventListener('end', () => {
    // Without the writer's close this is a lost connection, which the other side must not take for the end.
    if (!finished) breakOff('reset');
    else if (to.status === 'open') to.close().catch(() => breakOff('reset'));
  });
  from.addEventListener('close', ({ error }) => {
    if (error === undefined) onClose();
    else breakOff('reset');
  });
  return () => {
    clearTimeout(throttle);
    buffers.remove(waiting);
  };
}

class CircuitError extends Error {
  override readonly name = 'CircuitError';
  readonly code: CircuitEnd;

  constructor(end: CircuitEnd) {
    super(`the circuit ended: ${end}`);
    this.code = end;
  }
}
