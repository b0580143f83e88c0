// mplex, both roles. https://github.com/libp2p/specs/blob/master/mplex/README.md
import { MAX_FRAME_DATA_BYTES, type MuxStream, type Session } from './mux.ts';
import { NO_RECEIVER, type Pipe, type Receiver } from './pipe.ts';

/** Types of frames. Those that are sent by the opener of a stream are even, except for NEW. */
const NEW = 0;
const MESSAGE = 1;
const CLOSE = 3;
const RESET = 5;
const FROM_OPENER = 1;

/** Maximum bytes of the two varints of a header: a stream id and a length of up to 1 MiB. */
const MAX_HEADER_BYTES = 15;

const HEADER = Buffer.alloc(MAX_HEADER_BYTES);

export class MplexSession implements Session, Receiver {
  onStream: (stream: MuxStream) => void = (stream) => stream.destroy();
  onEnded: (reason?: Error) => void = () => {};
  isClosed = false;
  readonly pipe: Pipe;
  /** By id, negative for streams that the other side has opened. */
  readonly streams = new Map<number, MplexStream>();
  #nextId = 0;
  #varint = 0;
  #shift = 0;
  #tag: number | undefined;
  #left = 0;
  #target: MplexStream | undefined;

  constructor(pipe: Pipe) {
    this.pipe = pipe;
  }

  openStream(): MplexStream {
    const stream = new MplexStream(this, this.#nextId, true);
    this.#nextId += 1;
    this.streams.set(stream.key, stream);
    this.send(NEW, stream.id, Buffer.from(String(stream.id)));
    return stream;
  }

  close(): void {
    this.pipe.end();
  }

  destroy(): void {
    this.pipe.destroy();
  }

  send(type: number, id: number, data: Buffer): void {
    if (this.isClosed) return;
    const length = writeVarint(data.length, writeVarint(id * 8 + type, 0));
    this.pipe.write(HEADER.subarray(0, length), data);
  }

  onBytes(bytes: Buffer): void {
    let position = 0;
    while (position < bytes.length) {
      if (this.#left > 0) {
        const end = Math.min(bytes.length, position + this.#left);
        this.#left -= end - position;
        this.#target?.receiver.onBytes(bytes.subarray(position, end));
        position = end;
        continue;
      }
      const byte = bytes[position] as number;
      position += 1;
      this.#varint += (byte & 0x7f) * 2 ** this.#shift;
      this.#shift += 7;
      if (byte >= 0x80) continue;
      const value = this.#varint;
      this.#varint = 0;
      this.#shift = 0;
      if (this.#tag === undefined) this.#tag = value;
      else this.#onHeader(this.#tag, value);
    }
  }

  onWritable(): void {
    for (const stream of this.streams.values()) stream.receiver.onWritable();
  }

  onEnd(): void {
    this.pipe.end();
  }

  onClose(reason?: Error): void {
    this.isClosed = true;
    for (const stream of this.streams.values())
      stream.receiver.onClose(reason ?? new Error('The connection was closed.'));
    this.streams.clear();
    this.onEnded(reason);
  }

  #onHeader(tag: number, length: number): void {
    this.#tag = undefined;
    const [type, id] = [tag & 7, Math.floor(tag / 8)];
    this.#target = undefined;
    this.#left = length;
    if (type === NEW) {
      const stream = new MplexStream(this, id, false);
      this.streams.set(stream.key, stream);
      this.onStream(stream);
      return;
    }
    // An odd type comes from the receiver of a stream, so it is one of ours.
    const isOurs = type % 2 === 1;
    const stream = this.streams.get(isOurs ? id : -1 - id);
    if (type === MESSAGE || type === MESSAGE + FROM_OPENER) this.#target = stream;
    else if (type === CLOSE || type === CLOSE + FROM_OPENER) stream?.onClosed();
    else stream?.onReset();
  }
}

function writeVarint(value: number, at: number): number {
  let [rest, position] = [value, at];
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) HEADER[position++] = (rest % 0x80) | 0x80;
  HEADER[position] = rest;
  return position + 1;
}

export class MplexStream implements MuxStream {
  receiver: Receiver = NO_RECEIVER;
  readonly id: number;
  readonly key: number;
  readonly #session: MplexSession;
  /** Added to the types of frames. */
  readonly #side: number;
  #hasEnded = false;
  #isRemoteEnded = false;

  constructor(session: MplexSession, id: number, isOurs: boolean) {
    this.#session = session;
    this.id = id;
    this.key = isOurs ? id : -1 - id;
    this.#side = isOurs ? FROM_OPENER : 0;
  }

  /** There are no windows; a sender waits for the socket. */
  get sendable(): number {
    return this.#session.pipe.isBlocked ? 0 : Number.MAX_SAFE_INTEGER;
  }

  get isBlocked(): boolean {
    return this.#session.pipe.isBlocked;
  }

  write(first: Buffer, second?: Buffer): void {
    for (const bytes of second === undefined ? [first] : [first, second])
      for (let start = 0; start < bytes.length; start += MAX_FRAME_DATA_BYTES)
        this.#session.send(
          MESSAGE + this.#side,
          this.id,
          bytes.subarray(start, start + MAX_FRAME_DATA_BYTES),
        );
  }

  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#session.send(CLOSE + this.#side, this.id, EMPTY);
    this.#removeIfEnded();
  }

  destroy(): void {
    this.#session.send(RESET + this.#side, this.id, EMPTY);
    this.#session.streams.delete(this.key);
  }

  onClosed(): void {
    this.#isRemoteEnded = true;
    this.#removeIfEnded();
    this.receiver.onEnd();
  }

  onReset(): void {
    this.#session.streams.delete(this.key);
    this.receiver.onClose(new Error('The stream was reset.'));
  }

  #removeIfEnded(): void {
    if (this.#hasEnded && this.#isRemoteEnded) this.#session.streams.delete(this.key);
  }
}

const EMPTY = Buffer.alloc(0);
