// A TCP connection. All sockets read into the same memory, and what is written in one turn is sent with one call.
import { connect, type Socket } from 'node:net';
import { NO_RECEIVER, type Pipe, type Receiver } from './pipe.ts';

/** What the kernel has for one socket in one call. */
const READ_BYTES = 256 * 1024;

const WRITE_BYTES = 256 * 1024;

/** What is smaller is copied, so that the large buffer can be used again at once. */
const COPIED_BYTES = 8 * 1024;

/** Above this number of bytes in Node.js a sender waits. */
const BLOCKED_BYTES = 512 * 1024;

/** Buffers that are kept for the next writes. */
const MAX_FREE_BUFFERS = 64;

const READ_BUFFER = Buffer.allocUnsafeSlow(READ_BYTES);
const freeBuffers: Buffer[] = [];

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export class SocketPipe implements Pipe {
  receiver: Receiver = NO_RECEIVER;
  readonly #socket: Socket;
  #buffer: Buffer | undefined;
  #length = 0;
  #isFlushing = false;
  #error: Error | undefined;

  constructor({ host, port }: HostPort, onConnect: () => void) {
    this.#socket = connect({
      host,
      port,
      noDelay: true,
      onread: {
        buffer: READ_BUFFER,
        callback: (length, buffer) => {
          this.receiver.onBytes((buffer as Buffer).subarray(0, length));
          return true;
        },
      },
    });
    this.#socket.once('connect', onConnect);
    this.#socket.on('drain', () => this.receiver.onWritable());
    this.#socket.on('end', () => this.receiver.onEnd());
    this.#socket.on('error', (error) => (this.#error = error));
    this.#socket.on('close', () => this.receiver.onClose(this.#error));
  }

  get isBlocked(): boolean {
    return this.#socket.writableLength >= BLOCKED_BYTES;
  }

  write(first: Buffer, second?: Buffer): void {
    this.#append(first);
    if (second !== undefined) this.#append(second);
    if (!this.#isFlushing) {
      this.#isFlushing = true;
      queueMicrotask(() => {
        this.#isFlushing = false;
        this.#flush();
      });
    }
  }

  end(): void {
    this.#flush();
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #append(bytes: Buffer): void {
    for (let start = 0; start < bytes.length;) {
      this.#buffer ??= freeBuffers.pop() ?? Buffer.allocUnsafeSlow(WRITE_BYTES);
      const count = Math.min(WRITE_BYTES - this.#length, bytes.length - start);
      bytes.copy(this.#buffer, this.#length, start, start + count);
      this.#length += count;
      start += count;
      if (this.#length === WRITE_BYTES) this.#flush();
    }
  }

  #flush(): void {
    const buffer = this.#buffer;
    if (buffer === undefined) return;
    this.#buffer = undefined;
    const bytes = buffer.subarray(0, this.#length);
    this.#length = 0;
    const free = (): void => {
      if (freeBuffers.length < MAX_FREE_BUFFERS) freeBuffers.push(buffer);
      if (!this.isBlocked) this.receiver.onWritable();
    };
    if (this.#socket.destroyed || bytes.length <= COPIED_BYTES) {
      if (!this.#socket.destroyed) this.#socket.write(Buffer.from(bytes));
      free();
    } else this.#socket.write(bytes, free);
  }
}

/** @throws Error when the connection is refused */
export async function dialTcp(target: HostPort): Promise<SocketPipe> {
  return new Promise((resolve, reject) => {
    const pipe: SocketPipe = new SocketPipe(target, () => resolve(pipe));
    pipe.receiver = {
      ...NO_RECEIVER,
      onClose: (error) => reject(error ?? new Error('The connection was closed.')),
    };
  });
}
