// Joins two streams of muxers: data of each is written to the other as it arrives.
import type { Pipe, PipeListener } from '../connection.ts';
import type { Direction } from '../outcomes.ts';
import type { StreamEnd, StreamSink, WireStream } from '../../wire/layers.ts';

/** What a pipe needs of one end. */
export interface PipeSide {
  readonly wire: WireStream;
  /** Bytes that were received before the pipe; they come first. */
  readonly received: Buffer | undefined;
  /** Reads no bytes from the connection until `releaseReading`. */
  holdReading(): void;
  releaseReading(): void;
  /** Calls the owner of the stream when it has ended. */
  onEnded(): void;
}

/** @param windowBytes maximum bytes that a paused stream still receives */
export function joinWireStreams(
  source: PipeSide,
  target: PipeSide,
  windowBytes: number,
  listener: PipeListener,
): Pipe {
  return new WirePipe(source, target, windowBytes, listener);
}

class WirePipe implements Pipe {
  readonly windowBytes: number;
  readonly listener: PipeListener;
  readonly #toTarget: PipeEnd;
  readonly #toSource: PipeEnd;

  constructor(source: PipeSide, target: PipeSide, windowBytes: number, listener: PipeListener) {
    this.windowBytes = windowBytes;
    this.listener = listener;
    this.#toTarget = new PipeEnd(this, source, 'to_target');
    this.#toSource = new PipeEnd(this, target, 'to_source');
    this.#toTarget.start(this.#toSource);
    this.#toSource.start(this.#toTarget);
  }

  /** One end has closed in order. */
  onEndClosed(): void {
    if (this.#toTarget.isClosed && this.#toSource.isClosed) this.listener.onClosed();
  }

  pause(direction: Direction): void {
    this.#from(direction).setThrottled(true);
  }

  resume(direction: Direction): void {
    this.#from(direction).setThrottled(false);
  }

  waitingBytes(direction: Direction): number {
    return this.#from(direction).waitingBytes();
  }

  maxWaitingBytes(direction: Direction): number {
    return this.#from(direction).maxWaitingBytes();
  }

  holdReading(direction: Direction): void {
    this.#from(direction).holdReading(true);
  }

  releaseReading(direction: Direction): void {
    this.#from(direction).holdReading(false);
  }

  reset(): void {
    this.#toTarget.reset();
    this.#toSource.reset();
  }

  #from(direction: Direction): PipeEnd {
    return direction === 'to_target' ? this.#toTarget : this.#toSource;
  }
}

/** One end, and the direction that comes from it. */
class PipeEnd implements StreamSink {
  isClosed = false;
  readonly #pipe: WirePipe;
  readonly #side: PipeSide;
  readonly #direction: Direction;
  #other!: PipeEnd;
  /** Whether the other end takes no bytes. */
  #isBlocked = false;
  #isThrottled = false;
  #isHolding = false;

  constructor(pipe: WirePipe, side: PipeSide, direction: Direction) {
    this.#pipe = pipe;
    this.#side = side;
    this.#direction = direction;
  }

  start(other: PipeEnd): void {
    this.#other = other;
    const { wire, received } = this.#side;
    wire.sink = this;
    if (received !== undefined) this.onData(received, 0, received.length);
    if (wire.isRemoteEnded && wire.waitingBytes === 0) this.onRemoteEnd();
    else if (!this.#mustWait()) wire.resume();
  }

  onData(buffer: Buffer, start: number, end: number): void {
    const to = this.#other.#side.wire;
    if (!to.isOpen || !this.#pipe.listener.onBytes(this.#direction, end - start)) return;
    if (to.write(buffer, start, end) || this.#isBlocked) return;
    this.#isBlocked = true;
    this.#side.wire.pause();
    this.#pipe.listener.onBlocked(this.#direction);
  }

  onRemoteEnd(): void {
    this.#other.#side.wire.closeWrite();
  }

  /** This end takes bytes again, so the other end may send. */
  onWritable(): void {
    const other = this.#other;
    if (!other.#isBlocked) return;
    other.#isBlocked = false;
    this.#pipe.listener.onUnblocked(other.#direction);
    other.#resume();
  }

  onClose(end: StreamEnd): void {
    this.isClosed = true;
    this.#side.onEnded();
    if (end === 'closed') this.#pipe.onEndClosed();
    else this.#pipe.listener.onReset();
  }

  setThrottled(isThrottled: boolean): void {
    this.#isThrottled = isThrottled;
    if (isThrottled) this.#side.wire.pause();
    else this.#resume();
  }

  waitingBytes(): number {
    return this.#side.wire.waitingBytes + this.#other.#side.wire.queuedBytes;
  }

  maxWaitingBytes(): number {
    const waitingBytes = Math.max(this.#side.wire.waitingBytes, this.#pipe.windowBytes);
    return waitingBytes + this.#other.#side.wire.queuedBytes;
  }

  holdReading(isHolding: boolean): void {
    if (isHolding === this.#isHolding) return;
    this.#isHolding = isHolding;
    if (isHolding) this.#side.holdReading();
    else this.#side.releaseReading();
  }

  reset(): void {
    this.#side.wire.reset();
  }

  #mustWait(): boolean {
    return this.#isBlocked || this.#isThrottled;
  }

  #resume(): void {
    if (!this.#mustWait()) this.#side.wire.resume();
  }
}
