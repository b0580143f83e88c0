// yamux, both roles. https://github.com/libp2p/specs/blob/master/yamux/README.md
import { MAX_FRAME_DATA_BYTES, type MuxStream, type Session } from './mux.ts';
import { NO_RECEIVER, type Pipe, type Receiver } from './pipe.ts';

const HEADER_BYTES = 12;
const INITIAL_WINDOW = 256 * 1024;
/** What streams allow that the other side has opened, for bulk data. Of each window half is granted again at a time. */
const LARGE_WINDOW = 1024 * 1024;

const DATA = 0;
const WINDOW_UPDATE = 1;
const PING = 2;
const GO_AWAY = 3;

const SYN = 1;
const ACK = 2;
const FIN = 4;
const RST = 8;

const HEADER = Buffer.alloc(HEADER_BYTES);

export class YamuxSession implements Session, Receiver {
  onStream: (stream: MuxStream) => void = (stream) => stream.destroy();
  onEnded: (reason?: Error) => void = () => {};
  isClosed = false;
  readonly pipe: Pipe;
  readonly streams = new Map<number, YamuxStream>();
  #nextId: number;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerLength = 0;
  /** The data frame that is being received. */
  #target: YamuxStream | undefined;
  #left = 0;
  #flags = 0;

  constructor(pipe: Pipe, isInitiator: boolean) {
    this.pipe = pipe;
    this.#nextId = isInitiator ? 1 : 2;
  }

  openStream(): YamuxStream {
    const stream = new YamuxStream(this, this.#nextId, SYN);
    this.#nextId += 2;
    this.streams.set(stream.id, stream);
    return stream;
  }

  close(): void {
    this.send(GO_AWAY, 0, 0, 0);
    this.pipe.end();
  }

  destroy(): void {
    this.pipe.destroy();
  }

  send(type: number, flags: number, id: number, length: number, data?: Buffer): void {
    if (this.isClosed) return;
    HEADER[1] = type;
    HEADER.writeUInt16BE(flags, 2);
    HEADER.writeUInt32BE(id, 4);
    HEADER.writeUInt32BE(length, 8);
    this.pipe.write(HEADER, data);
  }

  onBytes(bytes: Buffer): void {
    let position = 0;
    while (position < bytes.length) {
      if (this.#left > 0) {
        const end = Math.min(bytes.length, position + this.#left);
        this.#left -= end - position;
        this.#target?.onData(bytes.subarray(position, end));
        position = end;
        if (this.#left === 0) this.#endFrame();
        continue;
      }
      const count = Math.min(HEADER_BYTES - this.#headerLength, bytes.length - position);
      bytes.copy(this.#header, this.#headerLength, position, position + count);
      this.#headerLength += count;
      position += count;
      if (this.#headerLength < HEADER_BYTES) return;
      this.#headerLength = 0;
      this.#onHeader();
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

  #onHeader(): void {
    const header = this.#header;
    const flags = header.readUInt16BE(2);
    const id = header.readUInt32BE(4);
    const length = header.readUInt32BE(8);
    const type = header[1];
    if (type === PING) {
      if ((flags & SYN) !== 0) this.send(PING, ACK, 0, length);
      return;
    }
    if (type === GO_AWAY) return;
    const stream = (flags & SYN) === 0 ? this.streams.get(id) : this.#accept(id);
    this.#target = stream;
    this.#flags = flags;
    if (type === DATA && length > 0) this.#left = length;
    else {
      if (type === WINDOW_UPDATE) stream?.onWindow(length);
      this.#endFrame();
    }
  }

  #accept(id: number): YamuxStream {
    const stream = new YamuxStream(this, id, ACK);
    this.streams.set(id, stream);
    stream.announce();
    this.onStream(stream);
    return stream;
  }

  #endFrame(): void {
    const stream = this.#target;
    this.#target = undefined;
    if (stream === undefined) return;
    if ((this.#flags & RST) !== 0) stream.onReset();
    else if ((this.#flags & FIN) !== 0) stream.onFin();
  }
}

export class YamuxStream implements MuxStream {
  receiver: Receiver = NO_RECEIVER;
  readonly id: number;
  readonly #session: YamuxSession;
  /** SYN or ACK until the first frame is sent. */
  #flags: number;
  #sendWindow = INITIAL_WINDOW;
  #receiveWindow = INITIAL_WINDOW;
  #received = 0;
  #waiting: Buffer[] = [];
  #isEnding = false;
  #hasEnded = false;
  #isRemoteEnded = false;

  constructor(session: YamuxSession, id: number, flags: number) {
    this.#session = session;
    this.id = id;
    this.#flags = flags;
  }

  get sendable(): number {
    return this.#waiting.length > 0 || this.#session.pipe.isBlocked ? 0 : this.#sendWindow;
  }

  get isBlocked(): boolean {
    return this.sendable === 0;
  }

  /** Sends the first frame, which raises the window of the other side. */
  announce(): void {
    this.#session.send(WINDOW_UPDATE, this.#takeFlags(), this.id, LARGE_WINDOW - INITIAL_WINDOW);
    this.#receiveWindow = LARGE_WINDOW;
  }

  write(first: Buffer, second?: Buffer): void {
    this.#write(first);
    if (second !== undefined) this.#write(second);
  }

  end(): void {
    this.#isEnding = true;
    this.#sendWaiting();
  }

  destroy(): void {
    this.#session.send(WINDOW_UPDATE, this.#takeFlags() | RST, this.id, 0);
    this.#session.streams.delete(this.id);
  }

  onData(bytes: Buffer): void {
    this.#received += bytes.length;
    this.receiver.onBytes(bytes);
    if (this.#received < this.#receiveWindow / 2) return;
    this.#session.send(WINDOW_UPDATE, this.#takeFlags(), this.id, this.#received);
    this.#received = 0;
  }

  onWindow(bytes: number): void {
    if (bytes === 0) return;
    this.#sendWindow += bytes;
    this.#sendWaiting();
    if (!this.isBlocked) this.receiver.onWritable();
  }

  onFin(): void {
    this.#isRemoteEnded = true;
    this.#removeIfEnded();
    this.receiver.onEnd();
  }

  onReset(): void {
    this.#session.streams.delete(this.id);
    this.receiver.onClose(new Error('The stream was reset.'));
  }

  #takeFlags(): number {
    const flags = this.#flags;
    this.#flags = 0;
    return flags;
  }

  #write(bytes: Buffer): void {
    let start = 0;
    while (start < bytes.length && this.#waiting.length === 0) {
      const count = Math.min(bytes.length - start, this.#sendWindow, MAX_FRAME_DATA_BYTES);
      if (count === 0) break;
      this.#sendWindow -= count;
      this.#session.send(DATA, this.#takeFlags(), this.id, count, bytes.subarray(start, start + count));
      start += count;
    }
    if (start < bytes.length) this.#waiting.push(Buffer.from(bytes.subarray(start)));
  }

  #sendWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const bytes of waiting) this.#write(bytes);
    if (!this.#isEnding || this.#hasEnded || this.#waiting.length > 0) return;
    this.#hasEnded = true;
    this.#session.send(DATA, this.#takeFlags() | FIN, this.id, 0);
    this.#removeIfEnded();
  }

  #removeIfEnded(): void {
    if (this.#hasEnded && this.#isRemoteEnded) this.#session.streams.delete(this.id);
  }
}
