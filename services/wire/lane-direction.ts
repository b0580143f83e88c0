// One direction of a lane: data goes from one end to the other, and the credit of the receiver goes back to the sender.
import type { LaneEnd } from './layers.ts';
import { ByteQueue } from './muxer/byte-queue.ts';

/** Minimum credit that is given to a device at once, in bytes, so that its frames do not become smaller and smaller. */
const MIN_GRANT_BYTES = 64 * 1024;

/** Credit of a nearby sender, in bytes, when the muxer of the receiver limits no stream. */
const UNLIMITED_CREDIT_BYTES = 256 * 1024;

/** What a direction tells its lane. */
export interface DirectionEvents {
  readonly isOver: boolean;
  onBytes(direction: LaneDirection, bytes: number): void;
  onWaiting(direction: LaneDirection): void;
  onDrained(direction: LaneDirection): void;
  onDirectionEnd(): void;
}

export class LaneDirection {
  /** All bytes that have arrived, the waiting ones included. */
  bytes = 0;
  isPaused = false;
  /** Whether the sender has closed its direction. */
  isEnding = false;
  /** Whether the receiver was told, after all bytes. */
  isEnded = false;
  #from!: LaneEnd;
  #to!: LaneEnd;
  readonly #windowBytes: number;
  readonly #events: DirectionEvents;
  readonly #queue = new ByteQueue();
  #isWaiting = false;
  /** Whether the sender is stopped because the receiver takes no more. */
  #isHolding = false;
  /** Whether the owner has stopped the sender. */
  #isHeld = false;

  constructor(windowBytes: number, events: DirectionEvents) {
    this.#windowBytes = windowBytes;
    this.#events = events;
  }

  connect(from: LaneEnd, to: LaneEnd): void {
    this.#from = from;
    this.#to = to;
  }

  /** Bytes that wait for the receiver. */
  get queuedBytes(): number {
    return this.#queue.length;
  }

  /** Bytes that wait and that the sender may still send. Without flow control for streams, a read may come on top. */
  get maxQueuedBytes(): number {
    const { credit } = this.#from;
    return this.#queue.length + (credit === Infinity ? 0 : credit);
  }

  /** Whether the receiver takes no more bytes now. */
  get isBlocked(): boolean {
    return this.#queue.length > 0 || this.#to.isBlocked;
  }

  /** Forwards nothing until `resume`; what arrives waits, and the sender gets no credit. */
  pause(): void {
    if (this.#events.isOver) return;
    this.isPaused = true;
    this.#regulate();
  }

  resume(): void {
    if (!this.isPaused || this.#events.isOver) return;
    this.isPaused = false;
    this.flush();
  }

  /** Stops reading from the connection of the sender, all its streams included, because memory is short. */
  hold(): void {
    if (this.#isHeld || this.#events.isOver) return;
    this.#isHeld = true;
    this.#from.hold();
  }

  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#from.release();
  }

  /** Bytes of the sender. They are counted first: the owner may pause this direction or end the lane. */
  onData(buffer: Buffer, start: number, end: number): void {
    this.bytes += end - start;
    this.#events.onBytes(this, end - start);
    if (this.#events.isOver) return;
    let at = start;
    if (!this.isPaused && this.#queue.length === 0) {
      at += Math.min(end - start, this.#to.capacity);
      if (at > start) this.#to.send(buffer, start, at);
      if (this.#events.isOver) return;
    }
    if (at < end) this.#keep(buffer, at, end);
    this.#regulate();
  }

  onRemoteEnd(): void {
    this.isEnding = true;
    if (this.#queue.length === 0) this.#finish();
    else this.#regulate();
  }

  /** The receiver takes more bytes. */
  flush(): void {
    while (!this.isPaused) {
      const block = this.#queue.first();
      const count = block === undefined ? 0 : Math.min(block.end - block.start, this.#to.capacity);
      if (block === undefined || count === 0) break;
      this.#to.send(block.buffer, block.start, block.start + count);
      if (this.#events.isOver) return;
      this.#queue.consume(count);
    }
    if (this.#queue.length === 0) {
      if (this.#isWaiting) {
        this.#isWaiting = false;
        this.#events.onDrained(this);
      }
      if (this.isEnding && !this.isEnded) this.#finish();
    }
    if (!this.#events.isOver) this.#regulate();
  }

  /** The lane is over: nothing waits, nobody is held. */
  stop(): void {
    this.#queue.clear();
    if (this.#isHolding) this.#from.release();
    this.#isHolding = false;
    this.release();
  }

  #keep(buffer: Buffer, start: number, end: number): void {
    this.#queue.append(buffer, start, end);
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#events.onWaiting(this);
  }

  #finish(): void {
    this.isEnded = true;
    this.#regulate();
    this.#to.closeWrite();
    this.#events.onDirectionEnd();
  }

  /** Lets the sender send as much as the receiver takes. */
  #regulate(): void {
    const { credit } = this.#from;
    if (credit === Infinity) this.#holdOrRelease();
    else if (!this.isEnding && !this.isPaused) this.#grant(credit);
  }

  #holdOrRelease(): void {
    const mustHold = !this.isEnding && (this.isPaused || this.isBlocked);
    if (mustHold === this.#isHolding) return;
    this.#isHolding = mustHold;
    if (mustHold) this.#from.hold();
    else this.#from.release();
  }

  #grant(credit: number): void {
    // A short exchange needs no more than the first window.
    if (this.bytes < MIN_GRANT_BYTES && credit > 0) return;
    // The credit of a nearby sender is what its receiver takes, so the relay holds almost no bytes. With it, a distant one
    // could send a window of the receiver per round trip of both lines together. It gets a window of its own, whose
    // bytes may wait here.
    const { isDistant } = this.#from;
    if (!isDistant && this.#to.isBlocked) return;
    const { capacity } = this.#to;
    const given = capacity === Infinity ? UNLIMITED_CREDIT_BYTES : capacity;
    const limit = isDistant ? this.#windowBytes : Math.min(this.#windowBytes, given);
    // Half of it still travels, so the sender does not stop, and gets few grants.
    if (credit > limit / 2) return;
    const bytes = limit - credit - this.#queue.length;
    const isRest = credit === 0 && this.#queue.length === 0;
    if (bytes >= MIN_GRANT_BYTES || (bytes > 0 && isRest)) this.#from.grant(bytes);
  }
}
