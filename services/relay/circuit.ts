// Circuits: pairs of joined streams with their limits. How the bytes move is the matter of the streams (`Pipe`).
import { monotonicMs } from '../shared/clock.ts';
import type { Buffers, PausedDirection } from './buffers.ts';
import type { RelayLimits } from './config.ts';
import type { Pipe, PipeListener, RelayStream } from './connection.ts';
import type { CircuitEnd, Direction } from './outcomes.ts';
import type { TokenBucket } from './token-bucket.ts';

/** Maximum interval of the checks for idle and expired circuits, in milliseconds. */
const MAX_SWEEP_INTERVAL_MS = 1_000;

/** Checks within the shortest limit, so that a circuit ends soon after it. */
const SWEEPS_PER_LIMIT = 4;

export interface CircuitsOptions {
  readonly limits: Pick<RelayLimits, 'circuitSeconds' | 'circuitIdleSeconds' | 'circuitBytes'>;
  readonly buffers: Buffers;
  readonly onBytes: (direction: Direction, bytes: number) => void;
}

export interface CircuitSummary {
  readonly end: CircuitEnd;
  /** Bytes forwarded in both directions together. */
  readonly bytes: number;
  readonly seconds: number;
}

/** A circuit in progress. */
export interface RunningCircuit {
  /** Resolves when both streams have ended. Never rejects. */
  readonly ended: Promise<CircuitSummary>;
  /** Resets both streams. Only the reason of the first call counts. */
  end(reason: CircuitEnd): void;
}

export interface Circuits {
  /**
   * Joins two streams until both have ended, one fails, or a limit is reached; then both are closed or reset. When the
   * writer of a stream closes it, the other stream is closed after all bytes that came before.
   *
   * Maximum memory for each direction: the receive window of a paused stream, and the same amount again in the send
   * buffer of the other stream. `buffers` limits the memory of all circuits together.
   *
   * @param rateLimiters those that every byte counts towards. Empty: no rate limit
   */
  join(source: RelayStream, target: RelayStream, rateLimiters: readonly TokenBucket[]): RunningCircuit;
}

/** @param nowMs monotonic clock */
export function createCircuits(options: CircuitsOptions, nowMs: () => number = monotonicMs): Circuits {
  const { circuitSeconds, circuitIdleSeconds } = options.limits;
  const shortestMs = Math.min(circuitSeconds, circuitIdleSeconds) * 1000;
  const running = new Set<JoinedCircuit>();
  let timer: NodeJS.Timeout | undefined;

  function sweep(): void {
    const currentMs = nowMs();
    for (const circuit of running) circuit.check(currentMs);
  }

  function remove(circuit: JoinedCircuit): void {
    running.delete(circuit);
    if (running.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  }

  return {
    join(source, target, rateLimiters) {
      const circuit = new JoinedCircuit(options, rateLimiters, nowMs(), (ended) => {
        remove(ended);
        return nowMs();
      });
      running.add(circuit);
      timer ??= setInterval(sweep, Math.min(MAX_SWEEP_INTERVAL_MS, shortestMs / SWEEPS_PER_LIMIT));
      circuit.start(source, target);
      return circuit;
    },
  };
}

/** A class, because its methods run for every message that is relayed. */
class JoinedCircuit implements RunningCircuit, PipeListener {
  readonly ended: Promise<CircuitSummary>;
  readonly #options: CircuitsOptions;
  readonly #rateLimiters: readonly TokenBucket[];
  readonly #resolve: (summary: CircuitSummary) => void;
  readonly #onEnd: (circuit: JoinedCircuit) => number;
  readonly #startedMs: number;
  readonly #toTarget: CircuitDirection;
  readonly #toSource: CircuitDirection;
  #pipe: Pipe | undefined;
  #isEnded = false;
  /** Bytes at the last check, and the time of the check that found this number first. */
  #checkedBytes = 0;
  #activeMs: number;

  /** @param onEnd called when it ends; returns the time */
  constructor(
    options: CircuitsOptions,
    rateLimiters: readonly TokenBucket[],
    startedMs: number,
    onEnd: (circuit: JoinedCircuit) => number,
  ) {
    const { promise, resolve } = Promise.withResolvers<CircuitSummary>();
    this.ended = promise;
    this.#resolve = resolve;
    this.#options = options;
    this.#rateLimiters = rateLimiters;
    this.#onEnd = onEnd;
    this.#startedMs = this.#activeMs = startedMs;
    this.#toTarget = new CircuitDirection('to_target', options.buffers);
    this.#toSource = new CircuitDirection('to_source', options.buffers);
  }

  start(source: RelayStream, target: RelayStream): void {
    this.#pipe = source.join(target, this);
    for (const direction of [this.#toTarget, this.#toSource]) direction.attach(this.#pipe);
    if (!this.#isEnded) return;
    // It has ended while it was joined.
    this.#stop();
    this.#pipe.reset();
  }

  check(currentMs: number): void {
    const { limits } = this.#options;
    const bytes = this.#toTarget.bytes + this.#toSource.bytes;
    if (bytes !== this.#checkedBytes) {
      this.#checkedBytes = bytes;
      this.#activeMs = currentMs;
    }
    if (currentMs - this.#startedMs >= limits.circuitSeconds * 1000) this.end('duration');
    else if (currentMs - this.#activeMs >= limits.circuitIdleSeconds * 1000) this.end('idle');
  }

  end(reason: CircuitEnd): void {
    if (this.#finish(reason)) this.#pipe?.reset();
  }

  onBytes(name: Direction, count: number): boolean {
    if (this.#isEnded) return false;
    const direction = this.#direction(name);
    if (direction.bytes + count > this.#options.limits.circuitBytes) {
      this.end('bytes');
      return false;
    }
    direction.bytes += count;
    this.#options.onBytes(name, count);
    if (this.#rateLimiters.length > 0) direction.spend(this.#rateLimiters, count);
    return true;
  }

  onBlocked(name: Direction): void {
    this.#direction(name).block(true);
  }

  onUnblocked(name: Direction): void {
    this.#direction(name).block(false);
  }

  onClosed(): void {
    this.#finish('closed');
  }

  onReset(): void {
    this.end('reset');
  }

  #direction(name: Direction): CircuitDirection {
    return name === 'to_target' ? this.#toTarget : this.#toSource;
  }

  /** Returns whether this was the first reason. */
  #finish(end: CircuitEnd): boolean {
    if (this.#isEnded) return false;
    this.#isEnded = true;
    const endedMs = this.#onEnd(this);
    this.#stop();
    const bytes = this.#toTarget.bytes + this.#toSource.bytes;
    this.#resolve({ end, bytes, seconds: (endedMs - this.#startedMs) / 1000 });
    return true;
  }

  #stop(): void {
    this.#toTarget.stop();
    this.#toSource.stop();
  }
}

/** One direction of a circuit: its bytes, its rate, and whether it is paused. */
class CircuitDirection implements PausedDirection {
  bytes = 0;
  readonly #name: Direction;
  readonly #buffers: Buffers;
  #pipe: Pipe | undefined;
  #isBlocked = false;
  /** Runs while a rate limiter has a negative balance. */
  #throttle: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(name: Direction, buffers: Buffers) {
    this.#name = name;
    this.#buffers = buffers;
  }

  attach(pipe: Pipe): void {
    this.#pipe = pipe;
    this.#update();
  }

  block(isBlocked: boolean): void {
    this.#isBlocked = isBlocked;
    this.#update();
  }

  spend(rateLimiters: readonly TokenBucket[], bytes: number): void {
    let waitMs = 0;
    for (const limiter of rateLimiters) waitMs = Math.max(waitMs, limiter.spend(bytes));
    if (waitMs === 0 || this.#throttle !== undefined || this.#isStopped) return;
    this.#throttle = setTimeout(() => {
      this.#throttle = undefined;
      this.#update();
      this.#pipe?.resume(this.#name);
    }, waitMs);
    this.#pipe?.pause(this.#name);
    this.#update();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#throttle);
    this.#throttle = undefined;
    this.#buffers.remove(this);
  }

  #update(): void {
    if (this.#pipe === undefined || this.#isStopped) return;
    if (this.#isBlocked || this.#throttle !== undefined) this.#buffers.add(this);
    else this.#buffers.remove(this);
  }

  waitingBytes(): number {
    return this.#pipe?.waitingBytes(this.#name) ?? 0;
  }

  maxWaitingBytes(): number {
    return this.#pipe?.maxWaitingBytes(this.#name) ?? 0;
  }

  holdReading(): void {
    this.#pipe?.holdReading(this.#name);
  }

  releaseReading(): void {
    this.#pipe?.releaseReading(this.#name);
  }
}
