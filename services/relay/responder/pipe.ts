// The bytes of a circuit: a lane between two streams, as the limits of the circuit see it.
import { joinStreams, type Lane, type LaneHooks, type LaneResult } from '../../wire/lane.ts';
import type { LaneDirection } from '../../wire/lane-direction.ts';
import type { WireStream } from '../../wire/layers.ts';
import type { Pipe, PipeListener } from '../connection.ts';
import type { Direction } from '../outcomes.ts';

/** What a pipe needs of one end. */
export interface PipeSide {
  readonly wire: WireStream;
  /** Bytes that were received before the pipe; they come first. */
  readonly received: Buffer | undefined;
  /** Called when the stream has ended. A stream in a lane does not tell its owner. */
  onEnded(): void;
}

/** A class, because its methods run for every read of a circuit. */
export class LanePipe implements Pipe, LaneHooks {
  readonly #source: PipeSide;
  readonly #target: PipeSide;
  readonly #listener: PipeListener;
  #lane: Lane | undefined;
  /** What happened while the lane was created, when its directions had no names yet. */
  #early: Array<() => void> = [];

  /** @param windowBytes maximum bytes that a paused sender may still send */
  constructor(source: PipeSide, target: PipeSide, windowBytes: number, listener: PipeListener) {
    this.#source = source;
    this.#target = target;
    this.#listener = listener;
    this.#lane = joinStreams(source.wire, target.wire, this, {
      windowBytes,
      ...(source.received === undefined ? {} : { earlyOfSource: source.received }),
      ...(target.received === undefined ? {} : { earlyOfTarget: target.received }),
    });
    for (const event of this.#early.splice(0)) event();
    // One of the streams has ended before.
    if (this.#lane === undefined) this.#end('reset');
  }

  onBytes(direction: LaneDirection, bytes: number): void {
    const lane = this.#lane;
    if (lane === undefined) this.#early.push(() => this.onBytes(direction, bytes));
    else this.#listener.onBytes(nameOf(direction, lane), bytes);
  }

  onWaiting(direction: LaneDirection): void {
    const lane = this.#lane;
    if (lane === undefined) this.#early.push(() => this.onWaiting(direction));
    else this.#listener.onBlocked(nameOf(direction, lane));
  }

  onDrained(direction: LaneDirection): void {
    const lane = this.#lane;
    if (lane === undefined) this.#early.push(() => this.onDrained(direction));
    else this.#listener.onUnblocked(nameOf(direction, lane));
  }

  onEnd(result: LaneResult): void {
    if (this.#lane === undefined) this.#early.push(() => this.#end(result));
    else this.#end(result);
  }

  pause(direction: Direction): void {
    this.#direction(direction)?.pause();
  }

  resume(direction: Direction): void {
    this.#direction(direction)?.resume();
  }

  waitingBytes(direction: Direction): number {
    return this.#direction(direction)?.queuedBytes ?? 0;
  }

  maxWaitingBytes(direction: Direction): number {
    return this.#direction(direction)?.maxQueuedBytes ?? 0;
  }

  holdReading(direction: Direction): void {
    this.#direction(direction)?.hold();
  }

  releaseReading(direction: Direction): void {
    this.#direction(direction)?.release();
  }

  reset(): void {
    if (this.#lane === undefined) {
      this.#source.wire.reset();
      this.#target.wire.reset();
    } else this.#lane.reset();
    this.#forget();
  }

  #direction(direction: Direction): LaneDirection | undefined {
    return direction === 'to_target' ? this.#lane?.toTarget : this.#lane?.toSource;
  }

  #end(result: LaneResult): void {
    this.#forget();
    if (result === 'closed') this.#listener.onClosed();
    else this.#listener.onReset();
  }

  #forget(): void {
    this.#source.onEnded();
    this.#target.onEnded();
  }
}

function nameOf(direction: LaneDirection, lane: Lane): Direction {
  return direction === lane.toTarget ? 'to_target' : 'to_source';
}
