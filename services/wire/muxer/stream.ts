// What the streams of both muxers share: a queue of received bytes while the stream is paused, a queue of written bytes
// for the window and the socket, half-close, reset and the end.
import type { LaneEnd, LaneListener, StreamEnd, StreamSink, WireStream } from '../layers.ts';
import { ByteQueue } from './byte-queue.ts';
import { MAX_PAYLOAD_BYTES } from './frame-size.ts';
import type { BaseSession } from './session.ts';

/** Maximum written bytes that wait in one stream: two of the largest responses of a peer. Above it the stream is reset. */
const MAX_QUEUED_BYTES = 64 * 1024 * 1024;

export abstract class MuxStream implements WireStream {
  abstract readonly session: BaseSession;
  readonly id: number;
  readonly isInbound: boolean;
  isOpen = true;
  isRemoteEnded = false;
  isPaused = false;
  /** Set when the stream was left to a lane. */
  lane: LaneListener | undefined = undefined;
  /** Whether the lane is told of new capacity at the end of the read. */
  isListedWithCapacity = false;
  /** Whether our direction is closed; what was written before may still wait. */
  #isClosing = false;
  #isFinSent = false;
  #isEndDelivered = false;
  #isHandingUp = false;
  #mustTellWritable = false;
  #sink: StreamSink | undefined;
  #waiting: ByteQueue | undefined;
  #queue: ByteQueue | undefined;

  constructor(id: number, isInbound: boolean) {
    this.id = id;
    this.isInbound = isInbound;
  }

  /** Sends `buffer[start..end)`, at most `sendLimit()` and `MAX_PAYLOAD_BYTES`. The bytes before `start` may be overwritten if `isSpent`. */
  abstract sendData(buffer: Buffer, start: number, end: number, isSpent: boolean): void;
  protected abstract sendFin(): void;
  protected abstract sendReset(): void;
  /** Bytes that the other side accepts now. */
  protected abstract sendLimit(): number;
  /** Received bytes were handed up, or the stream is no longer paused. */
  protected abstract onConsumed(): void;
  /** Received bytes wait. */
  protected abstract onWaiting(): void;
  /** The stream has ended. */
  protected abstract onOver(): void;
  abstract toLaneEnd(listener: LaneListener): LaneEnd;

  get sink(): StreamSink | undefined {
    return this.#sink;
  }

  /** Sets the sink, which gets what was received before at once. */
  set sink(sink: StreamSink | undefined) {
    this.#sink = sink;
    if (sink !== undefined && this.isOpen && !this.isPaused) this.#handUp();
  }

  get queuedBytes(): number {
    return this.#queue?.length ?? 0;
  }

  get waitingBytes(): number {
    return this.#waiting?.length ?? 0;
  }

  write(buffer: Buffer, start: number, end: number): boolean {
    if (!this.isOpen || this.#isClosing) return true;
    const { below } = this.session;
    let at = start;
    if (this.queuedBytes === 0) {
      while (at < end && !below.isBlocked) {
        const count = Math.min(end - at, this.sendLimit(), MAX_PAYLOAD_BYTES);
        if (count === 0) break;
        this.sendData(buffer, at, at + count, false);
        at += count;
      }
      if (!this.isOpen) return true;
    }
    if (at === end && !below.isBlocked) return true;
    if (at < end) {
      if (this.queuedBytes + end - at > MAX_QUEUED_BYTES) {
        this.reset();
        return true;
      }
      this.#queue ??= new ByteQueue();
      this.#queue.append(buffer, at, end);
    }
    this.#mustTellWritable = true;
    if (below.isBlocked) this.session.waitForSocket(this);
    return false;
  }

  /** Sends queued bytes as far as the window and the socket allow, then closes, then tells the writer. */
  flush(): void {
    const { below } = this.session;
    while (this.isOpen && !below.isBlocked) if (!this.#sendQueued()) break;
    if (!this.isOpen) return;
    if (below.isBlocked) {
      this.session.waitForSocket(this);
      return;
    }
    if (this.queuedBytes > 0) return;
    if (this.#isClosing) this.#finish();
    if (!this.isOpen || !this.#mustTellWritable) return;
    this.#mustTellWritable = false;
    this.#sink?.onWritable();
  }

  /** Sends queued bytes as far as the window allows, also to a blocked socket, because the session is being closed. */
  flushAll(): void {
    while (this.isOpen && this.#sendQueued());
    if (this.isOpen && this.#isClosing && this.queuedBytes === 0) this.#finish();
  }

  /** Sends one frame of the queue. Returns false when the queue or the window is empty. */
  #sendQueued(): boolean {
    const block = this.#queue?.first();
    if (block === undefined) return false;
    const count = Math.min(block.end - block.start, this.sendLimit(), MAX_PAYLOAD_BYTES);
    if (count === 0) return false;
    this.sendData(block.buffer, block.start, block.start + count, true);
    this.#queue?.consume(count);
    return true;
  }

  closeWrite(): void {
    if (!this.isOpen || this.#isClosing) return;
    this.#isClosing = true;
    if (this.queuedBytes === 0) this.#finish();
  }

  #finish(): void {
    if (this.#isFinSent) return;
    this.#isFinSent = true;
    this.sendFin();
    this.#endIfClosed();
  }

  reset(): void {
    if (!this.isOpen) return;
    this.sendReset();
    this.over('reset');
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    if (!this.isOpen) return;
    this.#handUp();
    if (this.isOpen && !this.isPaused) this.onConsumed();
  }

  /** Data of the other side, of a stream without lane. */
  onPayload(buffer: Buffer, start: number, end: number): void {
    if (this.#sink === undefined || this.isPaused || this.waitingBytes > 0) {
      this.#waiting ??= new ByteQueue();
      this.#waiting.append(buffer, start, end);
      this.onWaiting();
      return;
    }
    this.#sink.onData(buffer, start, end);
    if (this.isOpen) this.onConsumed();
  }

  /** The other side has closed its direction. */
  onRemoteEnd(): void {
    if (this.isRemoteEnded) return;
    this.isRemoteEnded = true;
    if (this.waitingBytes === 0) this.#deliverEnd();
  }

  onRemoteReset(): void {
    this.over('reset');
  }

  onConnectionLost(): void {
    // What the other side has sent completely is not lost, even if the stream is paused.
    if (this.isRemoteEnded && this.#sink !== undefined) {
      this.isPaused = false;
      this.#handUp(true);
    }
    this.over('connection');
  }

  /** Leaves the stream to a lane. What waits is handed up when the stream is resumed. */
  protected join(listener: LaneListener): void {
    this.lane = listener;
    this.#sink = undefined;
    this.#isEndDelivered ||= this.isRemoteEnded && this.waitingBytes === 0;
  }

  /** Hands up what waits, unless the sink pauses the stream; `isLast` ignores that. */
  #handUp(isLast = false): void {
    if (this.#isHandingUp) return;
    this.#isHandingUp = true;
    while (this.waitingBytes > 0) {
      if ((this.isPaused && !isLast) || !this.#handUpBlock()) break;
    }
    this.#isHandingUp = false;
    if (this.isOpen && this.isRemoteEnded && this.waitingBytes === 0) this.#deliverEnd();
  }

  #handUpBlock(): boolean {
    const block = this.#waiting?.first();
    const receiver = this.lane ?? this.#sink;
    if (block === undefined || receiver === undefined) return false;
    const { buffer, start, end } = block;
    receiver.onData(buffer, start, end);
    if (!this.isOpen) return false;
    this.#waiting?.consume(end - start);
    this.onConsumed();
    return this.isOpen;
  }

  #deliverEnd(): void {
    const receiver = this.lane ?? this.#sink;
    if (this.#isEndDelivered || receiver === undefined) return;
    this.#isEndDelivered = true;
    receiver.onRemoteEnd();
    this.#endIfClosed();
  }

  #endIfClosed(): void {
    if (this.#isFinSent && this.#isEndDelivered && this.isOpen) this.over('closed');
  }

  protected over(end: StreamEnd): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#queue?.clear();
    this.#waiting?.clear();
    this.session.remove(this);
    this.onOver();
    if (this.lane === undefined) this.#sink?.onClose(end);
    else if (end !== 'closed') this.lane.onReset(end);
  }
}
