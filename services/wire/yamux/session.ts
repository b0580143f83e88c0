// A session of yamux: https://github.com/hashicorp/yamux/blob/master/spec.md. Frames are handled as they arrive, without
// an object for a frame. What stock implementations do, and the specification leaves open, is said where it matters.
import type { WireStream } from '../layers.ts';
import { MAX_PAYLOAD_BYTES } from '../muxer/frame-size.ts';
import { BaseSession, type MuxOptions } from '../muxer/session.ts';
import { StreamIds } from '../muxer/stream-ids.ts';
import {
  FLAGS,
  FRAME_TYPES,
  type FrameHandler,
  FrameReader,
  GO_AWAY_NORMAL,
  HEADER_BYTES,
  INITIAL_WINDOW_BYTES,
  writeHeader,
  YAMUX_PROTOCOL,
} from './codec.ts';
import { YamuxStream } from './stream.ts';

/** Default maximum of the receive window of a stream, in bytes. A paused stream still receives its whole window. */
const MAX_RECEIVE_WINDOW_BYTES = 1024 * 1024;

/**
 * Default maximum of new inbound streams per second. A device that pulls from a near one opens a few hundred; 10,000
 * held the event loop for seconds.
 */
const NEW_STREAMS_PER_SECOND = 1000;

/** Maximum outbound streams that the other side has not acknowledged: the limit at which rust-yamux stops opening streams. */
const MAX_UNACKNOWLEDGED_STREAMS = 256;

/** The id of the pings that measure the round trip. */
const PING_ID = 0;

/** Maximum pings. The first is sent at the start, when both sides may be busy; others only while much is received. */
const MAX_PINGS = 8;

/** Where a frame is assembled that cannot be completed in place. Its bytes are used only during a call. */
const scratch = Buffer.allocUnsafeSlow(HEADER_BYTES + MAX_PAYLOAD_BYTES);

export interface YamuxOptions extends MuxOptions {
  /** Maximum of the receive window of a stream, in bytes. Default 1 MiB, minimum 256 KiB. */
  readonly maxWindowBytes?: number;
}

/** Starts a session on a connection, and sends a ping, which measures the round trip. */
export function createYamuxSession(options: YamuxOptions): YamuxSession {
  const session = new YamuxSession(options);
  options.below.sink = session;
  session.measureRoundTrip();
  return session;
}

export class YamuxSession extends BaseSession implements FrameHandler {
  override readonly protocol = YAMUX_PROTOCOL;
  readonly maxWindowBytes: number;
  /** The shortest that was measured. There are no regular pings, which would keep a dead peer from being noticed. */
  roundTripMs: number | undefined = undefined;
  readonly #isInitiator: boolean;
  readonly #reader = new FrameReader(this);
  readonly #streams = new Map<number, YamuxStream>();
  readonly #remoteIds: StreamIds;
  #nextId: number;
  #unacknowledged = 0;
  #pingSentAtMs: number | undefined;
  #pings = 0;
  /** The stream of the payload that is being received; `undefined`: it is discarded. */
  #payloadStream: YamuxStream | undefined;
  #endsWithPayload = false;

  constructor(options: YamuxOptions) {
    super(options, NEW_STREAMS_PER_SECOND);
    this.maxWindowBytes = Math.max(INITIAL_WINDOW_BYTES, options.maxWindowBytes ?? MAX_RECEIVE_WINDOW_BYTES);
    this.#isInitiator = options.isInitiator;
    this.#nextId = options.isInitiator ? 1 : 2;
    this.#remoteIds = new StreamIds(options.isInitiator ? 2 : 1, 2);
  }

  measureRoundTrip(): void {
    if (this.#pingSentAtMs !== undefined || this.#pings === MAX_PINGS) return;
    this.#pings += 1;
    this.#pingSentAtMs = this.nowMs();
    this.sendControl(FRAME_TYPES.ping, FLAGS.syn, 0, PING_ID);
  }

  override openStream(): WireStream | undefined {
    if (this.state !== 'open' || this.streamCount - this.inboundCount >= this.maxStreams) return undefined;
    if (this.#unacknowledged >= MAX_UNACKNOWLEDGED_STREAMS || this.#nextId > 0xffff_ffff) return undefined;
    const stream = new YamuxStream(this, this.#nextId, false);
    this.#nextId += 2;
    this.#unacknowledged += 1;
    this.#streams.set(stream.id, stream);
    this.add(stream);
    // Usually the first data is written at once, and opens the stream without a frame of its own.
    queueMicrotask(() => stream.announce());
    return stream;
  }

  override streams(): Iterable<YamuxStream> {
    return this.#streams.values();
  }

  override onBytes(buffer: Buffer, start: number, end: number): void {
    if (this.state !== 'closed') this.#reader.read(buffer, start, end);
  }

  onFrame(type: number, flags: number, id: number, length: number): boolean {
    if ((type !== FRAME_TYPES.data || length === 0) && !this.emptyFrames.allows()) {
      this.violate('too_many_empty_frames');
      return false;
    }
    if (type === FRAME_TYPES.ping) this.#onPing(flags, id, length);
    else if (type === FRAME_TYPES.goAway) this.#onGoAway(length);
    else if (id === 0) this.violate('invalid_stream_id');
    else this.#onStreamFrame(type, flags, id, length);
    return this.state !== 'closed';
  }

  onPayload(buffer: Buffer, start: number, end: number, isLast: boolean): boolean {
    const stream = this.#payloadStream;
    if (stream === undefined || !stream.isOpen) return true;
    if (stream.lane === undefined) stream.onPayload(buffer, start, end);
    else {
      // Passing on an earlier run may give credit: these bytes are not to be counted as used yet.
      this.collectRun(stream, buffer, start, end);
      stream.credit -= end - start;
    }
    if (isLast && this.#endsWithPayload) {
      this.passRun();
      if (stream.isOpen) stream.onRemoteEnd();
    }
    return this.state !== 'closed';
  }

  onInvalidFrame(): void {
    this.violate('invalid_frame');
  }

  sendControl(type: number, flags: number, id: number, length: number): void {
    if (this.state === 'closed') return;
    writeHeader(scratch, 0, type, flags, id, length);
    this.below.write(scratch, 0, HEADER_BYTES);
  }

  /** Sends a frame of data. Its header is written before the payload if the bytes there are spent. */
  sendData(id: number, flags: number, buffer: Buffer, start: number, end: number, isSpent: boolean): void {
    if (this.state === 'closed') return;
    this.onDataSent();
    if (isSpent && start >= HEADER_BYTES) {
      writeHeader(buffer, start - HEADER_BYTES, FRAME_TYPES.data, flags, id, end - start);
      this.below.write(buffer, start - HEADER_BYTES, end);
      return;
    }
    writeHeader(scratch, 0, FRAME_TYPES.data, flags, id, end - start);
    buffer.copy(scratch, HEADER_BYTES, start, end);
    this.below.write(scratch, 0, HEADER_BYTES + end - start);
  }

  /** A stream of ours was acknowledged, or has ended before. */
  onAcknowledged(stream: YamuxStream): void {
    stream.isAcknowledged = true;
    this.#unacknowledged -= 1;
  }

  protected override sendGoAway(): void {
    this.sendControl(FRAME_TYPES.goAway, 0, 0, GO_AWAY_NORMAL);
  }

  protected override forget(stream: YamuxStream): void {
    this.#streams.delete(stream.id);
    // An idle connection would keep its last stream.
    if (stream === this.#payloadStream) this.#payloadStream = undefined;
  }

  #onPing(flags: number, id: number, value: number): void {
    if (id !== 0) this.violate('invalid_frame');
    else if ((flags & FLAGS.syn) !== 0) {
      if (this.mayRespond()) this.sendControl(FRAME_TYPES.ping, FLAGS.ack, 0, value);
    } else if ((flags & FLAGS.ack) === 0) this.violate('invalid_frame');
    else if (this.#pingSentAtMs !== undefined && value === PING_ID) {
      this.roundTripMs = Math.min(this.roundTripMs ?? Infinity, this.nowMs() - this.#pingSentAtMs);
      this.#pingSentAtMs = undefined;
    }
  }

  /** After a normal GoAway, streams that are open go on, as in go-yamux. */
  #onGoAway(code: number): void {
    this.passRun();
    if (code !== GO_AWAY_NORMAL) this.violate('went_away');
    else if (this.streamCount === 0) this.close();
    else this.state = 'draining';
  }

  #onStreamFrame(type: number, flags: number, id: number, length: number): void {
    const isData = type === FRAME_TYPES.data;
    let stream = this.#streams.get(id);
    if (!isData || !this.isRunOf(stream)) this.passRun();
    if ((flags & FLAGS.syn) !== 0) {
      stream = this.#accept(id, flags);
      if (this.state === 'closed') return;
    } else if (stream === undefined && !this.allowsLateFrame()) {
      this.violate('too_many_late_frames');
      return;
    }
    this.#payloadStream = stream;
    this.#endsWithPayload = false;
    if (stream === undefined) {
      // Not even the window of a stream that has ended allowed it.
      if (isData && length > this.maxWindowBytes) this.violate('window_exceeded');
      return;
    }
    if (!stream.isOpen) return;
    if (!stream.isAcknowledged) this.onAcknowledged(stream);
    if ((flags & FLAGS.rst) !== 0) {
      this.#payloadStream = undefined;
      this.passRun();
      stream.onRemoteReset();
    } else if (isData) this.#onData(stream, flags, length);
    else this.#onWindowUpdate(stream, flags, length);
  }

  #onData(stream: YamuxStream, flags: number, length: number): void {
    if (length > stream.credit) this.violate('window_exceeded');
    else if (length > 0 && stream.isRemoteEnded) this.violate('data_after_end');
    else if ((flags & FLAGS.fin) === 0) return;
    else if (length > 0) this.#endsWithPayload = true;
    else {
      this.passRun();
      if (stream.isOpen) stream.onRemoteEnd();
    }
  }

  #onWindowUpdate(stream: YamuxStream, flags: number, bytes: number): void {
    if (!stream.addWindow(bytes)) this.violate('window_overflow');
    else if ((flags & FLAGS.fin) !== 0 && stream.isOpen) stream.onRemoteEnd();
  }

  /** A new stream of the other side; `undefined` when it was refused, or the connection was ended. */
  #accept(id: number, flags: number): YamuxStream | undefined {
    const isOfRemote = (id % 2 === 0) === this.#isInitiator;
    if (!isOfRemote) this.violate('invalid_stream_id');
    else if (!this.#remoteIds.use(id)) this.violate('stream_id_reused');
    else if (!this.newStreams.allows()) this.violate('too_many_new_streams');
    else if ((flags & FLAGS.rst) !== 0) return undefined;
    else if (this.inboundCount >= this.maxStreams) {
      if (this.mayRespond()) this.sendControl(FRAME_TYPES.windowUpdate, FLAGS.rst, id, 0);
    } else {
      const stream = new YamuxStream(this, id, true);
      this.#streams.set(id, stream);
      this.add(stream);
      this.owner.onStream(stream);
      return stream;
    }
    return undefined;
  }
}
