// A circuit: two streams that are joined by their events. Bytes are forwarded as they arrive.
import type { Stream } from '@libp2p/interface';
import { monotonicMs } from '../shared/clock.ts';
import type { Buffers, PausedDirection } from './buffers.ts';
import type { RelayLimits } from './config.ts';
import type { CircuitEnd, Direction } from './outcomes.ts';
import type { TokenBucket } from './token-bucket.ts';

export interface CircuitOptions {
  readonly limits: Pick<RelayLimits, 'circuitSeconds' | 'circuitIdleSeconds' | 'circuitBytes'>;
  /** Rate limiters that every byte counts towards. Empty: no rate limit. */
  readonly rateLimiters: readonly TokenBucket[];
  readonly buffers: Buffers;
  /** Ends the circuit when the relay stops. */
  readonly signal: AbortSignal;
  /** Ends the circuit when another one takes its place. */
  readonly evicted?: AbortSignal;
  readonly onBytes: (direction: Direction, bytes: number) => void;
}

export interface CircuitSummary {
  readonly end: CircuitEnd;
  /** Bytes forwarded in both directions together. */
  readonly bytes: number;
  readonly seconds: number;
}

/**
 * Joins two streams until both have ended, one fails, or a limit is reached; then both are closed or reset. When the
 * writer of a stream closes it, the other stream is closed after all bytes that came before.
 *
 * Maximum memory for each direction: the receive window of a paused stream, and the same amount again in the send
 * buffer of the other stream. `buffers` limits the memory of all circuits together.
 */
export async function joinStreams(
  source: Stream,
  target: Stream,
  options: CircuitOptions,
): Promise<CircuitSummary> {
  const { limits, rateLimiters, buffers, signal, evicted } = options;
  const ended = Promise.withResolvers<CircuitEnd>();
  const startedMs = monotonicMs();
  let lastByteMs = startedMs;
  let bytes = 0;

  const abort = (end: CircuitEnd): void => {
    // Only the first reason is used, because aborting one stream makes the other one report a reset.
    ended.resolve(end);
    const error = new CircuitError(end);
    source.abort(error);
    target.abort(error);
  };
  const onClose = (): void => {
    if (source.status !== 'open' && target.status !== 'open') ended.resolve('closed');
  };
  const onBytes = (direction: Direction, count: number): void => {
    lastByteMs = monotonicMs();
    bytes += count;
    options.onBytes(direction, count);
  };
  const pump = (from: Stream, to: Stream, direction: Direction): (() => void) =>
    forward(from, to, {
      maxBytes: limits.circuitBytes,
      rateLimiters,
      buffers,
      onBytes: (count) => onBytes(direction, count),
      onClose,
      abort,
    });

  const durationTimer = setTimeout(() => abort('duration'), limits.circuitSeconds * 1000);
  const idleMs = limits.circuitIdleSeconds * 1000;
  const idleTimer = setInterval(() => {
    if (monotonicMs() - lastByteMs >= idleMs) abort('idle');
  }, idleMs / 4);
  const onShutdown = (): void => abort('shutdown');
  const onEvicted = (): void => abort('evicted');
  signal.addEventListener('abort', onShutdown, { once: true });
  evicted?.addEventListener('abort', onEvicted, { once: true });
  const stopPumps = [pump(source, target, 'to_target'), pump(target, source, 'to_source')];
  if (signal.aborted) onShutdown();
  if (evicted?.aborted === true) onEvicted();
  try {
    return { end: await ended.promise, bytes, seconds: (monotonicMs() - startedMs) / 1000 };
  } finally {
    clearTimeout(durationTimer);
    clearInterval(idleTimer);
    signal.removeEventListener('abort', onShutdown);
    evicted?.removeEventListener('abort', onEvicted);
    for (const stopPump of stopPumps) stopPump();
  }
}

interface ForwardOptions {
  readonly maxBytes: number;
  readonly rateLimiters: readonly TokenBucket[];
  readonly buffers: Buffers;
  readonly onBytes: (bytes: number) => void;
  readonly onClose: () => void;
  readonly abort: (end: CircuitEnd) => void;
}

/** Forwards one direction of a circuit. The returned function releases its timer and its buffer accounting. */
function forward(from: Stream, to: Stream, options: ForwardOptions): () => void {
  const { maxBytes, rateLimiters, buffers, onBytes, abort } = options;
  const direction: PausedDirection = { from, to };
  let bytes = 0;
  let isBlocked = false;
  let isResuming = false;

  // A stream throws when its connection was just lost. An exception in an event handler would end the process.
  const guard = (step: () => void): void => {
    try {
      step();
    } catch {
      abort('reset');
    }
  };
  const throttle = createThrottle(rateLimiters, () => guard(resume));
  // The library's resume() would undo a pause from within it, so pausing waits until resume() has returned.
  const pauseIfNeeded = (): void => {
    const mustPause = isBlocked || throttle.isActive();
    if (!mustPause || isResuming || from.readStatus !== 'readable') return;
    from.pause();
    buffers.add(direction);
  };
  const resume = (): void => {
    if (isBlocked || throttle.isActive() || from.readStatus !== 'paused') return;
    buffers.remove(direction);
    isResuming = true;
    from.resume();
    isResuming = false;
    pauseIfNeeded();
  };
  // Reading resumes only when the other stream has sent all buffered bytes. Otherwise its buffer would grow with each
  // drain.
  const unblock = (): void => {
    if (!isBlocked || to.writeBufferLength > 0 || to.writableNeedsDrain) return;
    isBlocked = false;
    resume();
  };
  // The library's own listener flushes the stream in a microtask that was queued before this one.
  const onDrain = (): void => queueMicrotask(() => guard(unblock));

  from.addEventListener('message', ({ data }) => {
    if (to.status !== 'open') return;
    bytes += data.byteLength;
    if (bytes > maxBytes) {
      abort('bytes');
      return;
    }
    onBytes(data.byteLength);
    guard(() => {
      isBlocked = !to.send(data) || isBlocked;
      if (rateLimiters.length > 0) throttle.spend(data.byteLength);
      pauseIfNeeded();
    });
  });
  to.addEventListener('drain', onDrain);
  to.addEventListener('idle', onDrain);
  forwardEnd(from, to, options);
  return () => {
    throttle.stop();
    buffers.remove(direction);
  };
}

/** Is active while a rate limiter has a negative balance. Calls `onEnd` when this ends. */
function createThrottle(rateLimiters: readonly TokenBucket[], onEnd: () => void) {
  let timer: NodeJS.Timeout | undefined;

  return {
    isActive: () => timer !== undefined,
    spend(bytes: number): void {
      const waitMs = Math.max(0, ...rateLimiters.map((limiter) => limiter.spend(bytes)));
      if (waitMs === 0 || timer !== undefined) return;
      timer = setTimeout(() => {
        timer = undefined;
        onEnd();
      }, waitMs);
    },
    stop: () => clearTimeout(timer),
  };
}

/** Forwards the writer's close, and aborts the circuit when a stream ends in another way. */
function forwardEnd(
  from: Stream,
  to: Stream,
  { onClose, abort }: Pick<ForwardOptions, 'onClose' | 'abort'>,
): void {
  let isClosedByWriter = false;
  from.addEventListener('remoteCloseWrite', () => {
    isClosedByWriter = true;
  });
  from.addEventListener('end', () => {
    // Without a close by the writer the connection was lost. The other side must not mistake this for a normal end.
    if (!isClosedByWriter) abort('reset');
    else if (to.status === 'open') to.close().catch(() => abort('reset'));
  });
  from.addEventListener('close', ({ error }) => {
    if (error === undefined) onClose();
    else abort('reset');
  });
}

class CircuitError extends Error {
  override readonly name = 'CircuitError';
  readonly code: CircuitEnd;

  constructor(end: CircuitEnd) {
    super(`The relay ended the circuit: ${end}.`);
    this.code = end;
  }
}
