// What the sessions of both muxers share: their streams, the end of the session, and the data of joined streams.
//
// Sessions, streams and lane ends are classes, because they exist per connection or stream and handle each frame.
import { monotonicMs } from '../../shared/clock.ts';
import type { ByteDuplex, MuxSession, SessionOwner, WireStream } from '../layers.ts';
import { EventRate } from './event-rate.ts';
import { MAX_PAYLOAD_BYTES } from './frame-size.ts';
import type { MuxStream } from './stream.ts';
import { MuxerError, type MuxerViolation } from './violations.ts';

/**
 * Maximum frames without payload per second, in addition to one for each frame of data that we send (stock clients of
 * yamux send a window update for each). Clients send a few per stream. Each costs about a microsecond.
 */
const MAX_EMPTY_FRAMES_PER_SECOND = 10_000;

/**
 * Maximum frames for unknown streams per second. When a circuit reaches its byte limit, the thousands of frames in
 * flight arrive at a stream that was reset. They use no resources, and the connection holds the reservation of the
 * sender, so the limit is too high to be reached by a client.
 */
const MAX_LATE_FRAMES_PER_SECOND = 1_000_000;

/** Maximum responses to control frames that are written while the socket is blocked. A client waits for a few. */
const MAX_UNREAD_RESPONSES = 1024;

export interface MuxOptions {
  readonly below: ByteDuplex;
  readonly owner: SessionOwner;
  /** Whether this side has opened the connection. */
  readonly isInitiator: boolean;
  /** Maximum streams in each direction. Further inbound streams are reset; further outbound streams are not opened. */
  readonly maxStreams: number;
  /** Maximum new inbound streams per second. Above this limit the connection is closed. */
  readonly maxNewStreamsPerSecond?: number;
  /** The clock. Default: the monotonic clock. */
  readonly nowMs?: () => number;
}

export abstract class BaseSession implements MuxSession {
  abstract readonly protocol: string;
  readonly owner: SessionOwner;
  readonly below: ByteDuplex;
  readonly maxStreams: number;
  readonly nowMs: () => number;
  /** `draining`: no more streams are opened, and the session ends with the last one. */
  state: 'open' | 'draining' | 'closed' = 'open';
  streamCount = 0;
  drains = 0;
  protected inboundCount = 0;
  protected readonly newStreams: EventRate;
  protected readonly emptyFrames: EventRate;
  #lateFrames: EventRate | undefined;
  #isOver = false;
  #unreadResponses = 0;
  #holds = 0;
  /** Streams with written bytes that wait for the socket. */
  #blocked: Set<MuxStream> | undefined;
  /** Joined streams that take more bytes since the last read. */
  #withCapacity: MuxStream[] = [];
  /** Data of one joined stream that arrived in consecutive frames of this read: `#run[#runStart..#runEnd)`. */
  #runStream: MuxStream | undefined;
  #run: Buffer | undefined;
  #runStart = 0;
  #runEnd = 0;

  constructor(options: MuxOptions, maxNewStreamsPerSecond: number) {
    this.owner = options.owner;
    this.below = options.below;
    this.maxStreams = options.maxStreams;
    this.nowMs = options.nowMs ?? monotonicMs;
    this.newStreams = new EventRate(options.maxNewStreamsPerSecond ?? maxNewStreamsPerSecond, this.nowMs);
    this.emptyFrames = new EventRate(MAX_EMPTY_FRAMES_PER_SECOND, this.nowMs);
  }

  get isOpen(): boolean {
    return this.state === 'open';
  }

  abstract openStream(): WireStream | undefined;
  abstract streams(): Iterable<MuxStream>;
  abstract onBytes(buffer: Buffer, start: number, end: number): void;
  /** Tells the other side that the session ends. */
  protected abstract sendGoAway(): void;
  /** Removes a stream from the tables of the muxer. */
  protected abstract forget(stream: MuxStream): void;

  onReadEnd(): void {
    this.passRun();
    if (this.#withCapacity.length === 0) return;
    const streams = this.#withCapacity;
    this.#withCapacity = [];
    for (const stream of streams) {
      stream.isListedWithCapacity = false;
      stream.lane?.onCapacity();
    }
  }

  onWritable(): void {
    this.drains += 1;
    this.#unreadResponses = 0;
    const blocked = this.#blocked;
    this.#blocked = undefined;
    for (const stream of blocked ?? []) stream.flush();
    for (const stream of this.streams()) stream.lane?.onCapacity();
  }

  onClose(error: Error | undefined): void {
    this.state = 'closed';
    this.#endStreams();
    if (this.#isOver) return;
    this.#isOver = true;
    this.owner.onClose(error);
  }

  close(): void {
    if (this.state === 'closed') return;
    for (const stream of this.streams()) stream.flushAll();
    this.sendGoAway();
    this.state = 'closed';
    this.#endStreams();
    this.below.end();
  }

  abort(error: Error): void {
    if (this.#isOver) return;
    this.state = 'closed';
    this.below.abort(error);
    this.onClose(error);
  }

  /** Ends the connection because of what the other side has sent. */
  violate(code: MuxerViolation): void {
    this.abort(new MuxerError(this.protocol, code));
  }

  /** Stops reading until all that hold the session have released it. */
  hold(): void {
    this.#holds += 1;
    if (this.#holds === 1 && this.state !== 'closed') this.below.pause();
  }

  release(): void {
    this.#holds -= 1;
    if (this.#holds === 0 && this.state !== 'closed') this.below.resume();
  }

  /** Flushes a stream when the socket accepts bytes again. */
  waitForSocket(stream: MuxStream): void {
    (this.#blocked ??= new Set()).add(stream);
  }

  /** Tells a joined stream at the end of the read that it takes more bytes. */
  gainCapacity(stream: MuxStream): void {
    if (stream.isListedWithCapacity) return;
    stream.isListedWithCapacity = true;
    this.#withCapacity.push(stream);
  }

  /** A frame with data was sent; it may be answered by one without payload. */
  onDataSent(): void {
    this.emptyFrames.expectOne();
  }

  protected add(stream: MuxStream): void {
    this.streamCount += 1;
    if (stream.isInbound) this.inboundCount += 1;
  }

  /** Called by a stream that has ended. */
  remove(stream: MuxStream): void {
    this.streamCount -= 1;
    if (stream.isInbound) this.inboundCount -= 1;
    this.#blocked?.delete(stream);
    this.forget(stream);
    if (this.state === 'draining' && this.streamCount === 0) this.close();
  }

  /** Counts a frame for an unknown stream. Returns false when there were too many. */
  protected allowsLateFrame(): boolean {
    this.#lateFrames ??= new EventRate(MAX_LATE_FRAMES_PER_SECOND, this.nowMs);
    return this.#lateFrames.allows();
  }

  /** Whether a control frame may be answered. Otherwise the connection was ended. */
  protected mayRespond(): boolean {
    if (!this.below.isBlocked) return true;
    this.#unreadResponses += 1;
    if (this.#unreadResponses <= MAX_UNREAD_RESPONSES) return true;
    this.violate('unread_responses');
    return false;
  }

  /**
   * Keeps data of a joined stream until the end of the read, or until another frame comes, so that the frames of
   * several messages become one. The bytes stay where they are: the first ones in place, further ones moved behind them,
   * over headers that are spent.
   */
  protected collectRun(stream: MuxStream, buffer: Buffer, start: number, end: number): void {
    if (stream === this.#runStream && buffer === this.#run && start >= this.#runEnd) {
      if (this.#runEnd - this.#runStart + end - start <= MAX_PAYLOAD_BYTES) {
        if (start > this.#runEnd) buffer.copyWithin(this.#runEnd, start, end);
        this.#runEnd += end - start;
        return;
      }
    }
    this.passRun();
    // What the owner does with the run may have ended this stream.
    if (!stream.isOpen) return;
    this.#runStream = stream;
    this.#run = buffer;
    this.#runStart = start;
    this.#runEnd = end;
  }

  /** Passes on the run, if there is one. Called before each frame that is not data of the same stream. */
  protected passRun(): void {
    const stream = this.#runStream;
    const buffer = this.#run;
    if (stream === undefined || buffer === undefined) return;
    this.#runStream = undefined;
    this.#run = undefined;
    if (stream.isOpen) stream.lane?.onData(buffer, this.#runStart, this.#runEnd);
  }

  protected isRunOf(stream: MuxStream | undefined): boolean {
    return this.#runStream === stream;
  }

  #endStreams(): void {
    for (const stream of Array.from(this.streams())) stream.onConnectionLost();
  }
}
