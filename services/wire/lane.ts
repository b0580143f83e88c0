// A lane joins two streams of two connections: payload goes from one connection to the other without entering stream
// objects. Each direction keeps almost nothing, because the sender gets only the credit that the receiver gives.
import { LaneDirection, type DirectionEvents } from './lane-direction.ts';
import type { LaneEnd, LaneListener, WireStream } from './layers.ts';

/** How a lane ends by itself: both directions were closed, or one of the streams was reset or lost. */
export type LaneResult = 'closed' | 'reset';

/** What the owner of a lane is told. */
export interface LaneHooks {
  /**
   * Bytes have arrived; they are forwarded after this call. It may pause the direction, so that they wait, or reset the
   * lane, so that they are discarded.
   */
  onBytes(direction: LaneDirection, bytes: number): void;
  /** The first bytes of a direction wait. */
  onWaiting(direction: LaneDirection): void;
  /** No bytes of the direction wait any more. */
  onDrained(direction: LaneDirection): void;
  /** The lane has ended by itself. The last call. */
  onEnd(result: LaneResult): void;
}

export interface LaneOptions {
  /** Maximum credit of a sender, in bytes, and so the maximum that waits in one direction. */
  readonly windowBytes: number;
  /** Bytes of the source that were read together with the last message before the join. They count as bytes of the lane. */
  readonly earlyOfSource?: Buffer;
  readonly earlyOfTarget?: Buffer;
}

export interface Lane {
  readonly toTarget: LaneDirection;
  readonly toSource: LaneDirection;
  readonly isOver: boolean;
  /** Resets both streams; `onEnd` does not follow. */
  reset(): void;
}

/**
 * Joins two streams. Returns `undefined` when one of them has ended before; the other one is left as it is. Events may
 * come before it returns.
 */
export function joinStreams(
  source: WireStream,
  target: WireStream,
  hooks: LaneHooks,
  options: LaneOptions,
): Lane | undefined {
  if (!source.isOpen || !target.isOpen) return undefined;
  return new JoinedStreams(source, target, hooks, options);
}

class JoinedStreams implements Lane, DirectionEvents {
  readonly toTarget: LaneDirection;
  readonly toSource: LaneDirection;
  isOver = false;
  readonly #hooks: LaneHooks;
  readonly #ends: readonly LaneEnd[];

  constructor(source: WireStream, target: WireStream, hooks: LaneHooks, options: LaneOptions) {
    this.#hooks = hooks;
    this.toTarget = new LaneDirection(options.windowBytes, this);
    this.toSource = new LaneDirection(options.windowBytes, this);
    const ofSource = source.toLaneEnd(new LaneSide(this, this.toTarget, this.toSource));
    const ofTarget = target.toLaneEnd(new LaneSide(this, this.toSource, this.toTarget));
    this.#ends = [ofSource, ofTarget];
    this.toTarget.connect(ofSource, ofTarget);
    this.toSource.connect(ofTarget, ofSource);
    this.#start(source, this.toTarget, options.earlyOfSource);
    this.#start(target, this.toSource, options.earlyOfTarget);
  }

  reset(): void {
    if (this.isOver) return;
    this.isOver = true;
    for (const end of this.#ends) end.reset();
    this.#stop();
  }

  onBytes(direction: LaneDirection, bytes: number): void {
    this.#hooks.onBytes(direction, bytes);
  }

  onWaiting(direction: LaneDirection): void {
    this.#hooks.onWaiting(direction);
  }

  onDrained(direction: LaneDirection): void {
    this.#hooks.onDrained(direction);
  }

  onDirectionEnd(): void {
    if (this.isOver || !this.toTarget.isEnded || !this.toSource.isEnded) return;
    this.isOver = true;
    this.#stop();
    this.#hooks.onEnd('closed');
  }

  /** One of the streams was reset or lost. */
  onReset(): void {
    if (this.isOver) return;
    this.reset();
    this.#hooks.onEnd('reset');
  }

  /** What has arrived before the join. */
  #start(stream: WireStream, direction: LaneDirection, early: Buffer | undefined): void {
    if (early !== undefined && early.length > 0 && !this.isOver) direction.onData(early, 0, early.length);
    const hasEndedBefore = stream.isRemoteEnded && stream.waitingBytes === 0;
    if (!this.isOver) stream.resume();
    if (hasEndedBefore && !this.isOver) direction.onRemoteEnd();
  }

  #stop(): void {
    this.toTarget.stop();
    this.toSource.stop();
  }
}

/** What happens on one of the streams: data and ends of its outgoing direction, capacity for the incoming one. */
class LaneSide implements LaneListener {
  readonly #lane: JoinedStreams;
  readonly #outgoing: LaneDirection;
  readonly #incoming: LaneDirection;

  constructor(lane: JoinedStreams, outgoing: LaneDirection, incoming: LaneDirection) {
    this.#lane = lane;
    this.#outgoing = outgoing;
    this.#incoming = incoming;
  }

  onData(buffer: Buffer, start: number, end: number): void {
    if (!this.#lane.isOver) this.#outgoing.onData(buffer, start, end);
  }

  onCapacity(): void {
    if (!this.#lane.isOver) this.#incoming.flush();
  }

  onRemoteEnd(): void {
    if (!this.#lane.isOver) this.#outgoing.onRemoteEnd();
  }

  onReset(): void {
    this.#lane.onReset();
  }
}
