// A session of mplex: https://github.com/libp2p/specs/tree/master/mplex. For clients without yamux.
import type { WireStream } from '../layers.ts';
import { MAX_PAYLOAD_BYTES } from '../muxer/frame-size.ts';
import { BaseSession, type MuxOptions } from '../muxer/session.ts';
import { StreamIds } from '../muxer/stream-ids.ts';
import type { MuxStream } from '../muxer/stream.ts';
import {
  headerBytes,
  MAX_HEADER_BYTES,
  type MessageHandler,
  MessageReader,
  MPLEX_PROTOCOL,
  TYPES,
  writeHeader,
} from './codec.ts';
import { MplexStream } from './stream.ts';

/** Default maximum of new inbound streams per second. */
const NEW_STREAMS_PER_SECOND = 256;

/** Maximum length of the name of a stream, in bytes. Clients send the id; names have no meaning. */
const MAX_NAME_BYTES = 1024;

/** Where a message is assembled that cannot be completed in place. Its bytes are used only during a call. */
const scratch = Buffer.allocUnsafeSlow(2 * MAX_HEADER_BYTES + MAX_PAYLOAD_BYTES);

/** Starts a session on a connection. */
export function createMplexSession(options: MuxOptions): MplexSession {
  const session = new MplexSession(options);
  options.below.sink = session;
  return session;
}

export class MplexSession extends BaseSession implements MessageHandler {
  override readonly protocol = MPLEX_PROTOCOL;
  readonly #reader = new MessageReader(this);
  /** Each side assigns ids of its own, so there are two tables. */
  readonly #ownStreams = new Map<number, MplexStream>();
  readonly #remoteStreams = new Map<number, MplexStream>();
  readonly #remoteIds = new StreamIds(0, 1);
  #nextId = 0;
  /** The stream of the payload that is being received; `undefined`: it is discarded. */
  #payloadStream: MplexStream | undefined;

  constructor(options: MuxOptions) {
    super(options, NEW_STREAMS_PER_SECOND);
  }

  override openStream(): WireStream | undefined {
    if (this.state !== 'open' || this.#ownStreams.size >= this.maxStreams) return undefined;
    const stream = new MplexStream(this, this.#nextId, false);
    this.#nextId += 1;
    this.#ownStreams.set(stream.id, stream);
    this.add(stream);
    const name = Buffer.from(String(stream.id));
    const end = writeHeader(scratch, 0, TYPES.newStream, stream.id, name.length);
    name.copy(scratch, end);
    this.below.write(scratch, 0, end + name.length);
    return stream;
  }

  override *streams(): Iterable<MuxStream> {
    yield* this.#ownStreams.values();
    yield* this.#remoteStreams.values();
  }

  override onBytes(buffer: Buffer, start: number, end: number): void {
    if (this.state !== 'closed') this.#reader.read(buffer, start, end);
  }

  onMessage(type: number, id: number, length: number): boolean {
    this.#payloadStream = undefined;
    // The payload of a close or a reset is ignored, so it counts as none.
    const isEmpty = length === 0 || type > TYPES.messageInitiator;
    if (isEmpty && !this.emptyFrames.allows()) this.violate('too_many_empty_frames');
    else if (type === TYPES.newStream) this.#accept(id, length);
    else this.#onStreamMessage(type, id, length);
    return this.state !== 'closed';
  }

  onPayload(buffer: Buffer, start: number, end: number): boolean {
    const stream = this.#payloadStream;
    if (stream === undefined || !stream.isOpen) return true;
    if (stream.lane === undefined) stream.onPayload(buffer, start, end);
    else this.collectRun(stream, buffer, start, end);
    return this.state !== 'closed';
  }

  onInvalidMessage(code: 'invalid_frame' | 'frame_too_large'): void {
    this.violate(code);
  }

  /** Sends a message without payload. */
  sendControl(type: number, id: number): void {
    if (this.state === 'closed') return;
    this.below.write(scratch, 0, writeHeader(scratch, 0, type, id, 0));
  }

  /** Sends data. Its header is written before the payload if the bytes there are spent. */
  sendData(type: number, id: number, buffer: Buffer, start: number, end: number, isSpent: boolean): void {
    if (this.state === 'closed') return;
    this.onDataSent();
    const at = start - headerBytes(type, id, end - start);
    if (isSpent && at >= 0) {
      writeHeader(buffer, at, type, id, end - start);
      this.below.write(buffer, at, end);
      return;
    }
    const payloadAt = writeHeader(scratch, 0, type, id, end - start);
    buffer.copy(scratch, payloadAt, start, end);
    this.below.write(scratch, 0, payloadAt + end - start);
  }

  protected override sendGoAway(): void {
    // mplex has no message for it: the connection closes.
  }

  protected override forget(stream: MuxStream): void {
    (stream.isInbound ? this.#remoteStreams : this.#ownStreams).delete(stream.id);
    // An idle connection would keep its last stream.
    if (stream === this.#payloadStream) this.#payloadStream = undefined;
  }

  #onStreamMessage(type: number, id: number, length: number): void {
    const isFromInitiator = type % 2 === 0;
    const stream = (isFromInitiator ? this.#remoteStreams : this.#ownStreams).get(id);
    const isMessage = type === TYPES.messageInitiator || type === TYPES.messageReceiver;
    if (!isMessage || !this.isRunOf(stream)) this.passRun();
    if (stream === undefined) {
      if (!this.allowsLateFrame()) this.violate('too_many_late_frames');
    } else if (!stream.isOpen) return;
    else if (isMessage) {
      if (length > 0 && stream.isRemoteEnded) this.violate('data_after_end');
      else this.#payloadStream = stream;
    } else if (type === TYPES.resetInitiator || type === TYPES.resetReceiver) stream.onRemoteReset();
    else stream.onRemoteEnd();
  }

  /** A new stream of the other side. mplex cannot refuse it before it exists: above the maximum it is reset. */
  #accept(id: number, nameBytes: number): void {
    this.passRun();
    if (nameBytes > MAX_NAME_BYTES) this.violate('frame_too_large');
    else if (!this.#remoteIds.use(id)) this.violate('stream_id_reused');
    else if (!this.newStreams.allows()) this.violate('too_many_new_streams');
    else if (this.#remoteStreams.size >= this.maxStreams) {
      if (this.mayRespond()) this.sendControl(TYPES.resetReceiver, id);
    } else {
      const stream = new MplexStream(this, id, true);
      this.#remoteStreams.set(id, stream);
      this.add(stream);
      this.owner.onStream(stream);
    }
  }
}
