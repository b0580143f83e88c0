// A duplex of bytes: a socket, a layer, or a stream. The endpoints are independent of `services` and of libp2p, and as fast as
// Node.js allows, so that the load leaves the machine to the servers. Objects that exist for each connection or stream are classes.

export interface Receiver {
  /** The bytes are valid only during the call, and may be overwritten. */
  onBytes(bytes: Buffer): void;
  /** The pipe is no longer blocked. */
  onWritable(): void;
  /** The other side sends no more bytes. */
  onEnd(): void;
  /** Final. The reason is absent after an orderly close. */
  onClose(reason?: Error): void;
}

export interface Pipe {
  receiver: Receiver;
  /** Sends both one after the other. The memory may be used again when it returns. */
  write(first: Buffer, second?: Buffer): void;
  /** Whether the sender should wait for `onWritable`. Bytes are accepted anyway. */
  readonly isBlocked: boolean;
  /** Sends no more bytes, after those that were written. */
  end(): void;
  destroy(): void;
}

/** Ignores everything. */
export const NO_RECEIVER: Receiver = { onBytes() {}, onWritable() {}, onEnd() {}, onClose() {} };

/** Maximum bytes that wait for a reader: a few handshake messages, or the messages of one negotiation. */
const MAX_WAITING_BYTES = 256 * 1024;

interface Wish {
  readonly bytes: number;
  readonly resolve: (bytes: Buffer) => void;
  readonly reject: (error: Error) => void;
}

/** Reads small messages with promises, until a receiver takes over. One read at a time. */
export class PipeReader implements Receiver {
  readonly pipe: Pipe;
  #waiting = Buffer.alloc(0);
  #wish: Wish | undefined;
  #error: Error | undefined;
  #isEnded = false;
  #isClosed = false;

  constructor(pipe: Pipe) {
    this.pipe = pipe;
    pipe.receiver = this;
  }

  onBytes(bytes: Buffer): void {
    this.#waiting = this.#waiting.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#waiting, bytes]);
    if (this.#waiting.length > MAX_WAITING_BYTES) this.#fail(new Error('Too many bytes wait for a reader.'));
    this.#serve();
  }

  onWritable(): void {}

  onEnd(): void {
    this.#isEnded = true;
    this.#fail(new Error('The other side has ended the stream.'));
  }

  onClose(reason?: Error): void {
    this.#isClosed = true;
    this.#fail(reason ?? new Error('The connection was closed.'));
  }

  /** Exactly this number of bytes. @throws Error when the pipe ends before */
  async read(bytes: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#wish = { bytes, resolve, reject };
      this.#serve();
    });
  }

  /** A message that follows its length, a varint. */
  async readMessage(): Promise<Buffer> {
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const [byte = 0] = await this.read(1);
      length += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
      if (shift > 21) throw new Error('The length of a message is too long.');
    }
    return this.read(length);
  }

  /** The receiver gets what was not read, and everything that follows. */
  handOver(receiver: Receiver): void {
    const { pipe } = this;
    pipe.receiver = receiver;
    const rest = this.#waiting;
    this.#waiting = Buffer.alloc(0);
    if (rest.length > 0) receiver.onBytes(rest);
    if (this.#isEnded) receiver.onEnd();
    if (this.#isClosed) receiver.onClose(this.#error);
  }

  #serve(): void {
    const wish = this.#wish;
    if (wish === undefined) return;
    if (this.#waiting.length >= wish.bytes) {
      this.#wish = undefined;
      const taken = this.#waiting.subarray(0, wish.bytes);
      this.#waiting = this.#waiting.subarray(wish.bytes);
      wish.resolve(taken);
    } else if (this.#error !== undefined) {
      this.#wish = undefined;
      wish.reject(this.#error);
    }
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#serve();
  }
}

/** A message with its length before it, as a varint. */
export function withLength(message: Buffer): Buffer {
  return Buffer.concat([varint(message.length), message]);
}

export function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return Buffer.from([...bytes, rest]);
}
