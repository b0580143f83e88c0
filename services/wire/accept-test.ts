// Tests once, at the start, whether accepted sockets can be read with `onread` in this version of Node: a connection to
// this process itself is accepted, paused, resumed, answered and closed. Private members decide, and they may change.
import { connect } from 'node:net';
import { describeError } from '../shared/errors.ts';
import type { ByteSink } from './layers.ts';
import { type AcceptPath, createTcpListener } from './tcp-listener.ts';
import type { TcpSocket } from './tcp-socket.ts';
import { createWireIo } from './wire-io.ts';

/** Maximum time for the test, in milliseconds. It takes a few. */
const TEST_MS = 2_000;

/** Bytes of the test; more than the kernel keeps for a paused reader is not necessary. */
const TEST_BYTES = 100_000;

export interface AcceptTest {
  readonly path: AcceptPath;
  /** Why it is not `onread`; for the log. */
  readonly reason?: string;
}

export async function testAccept(): Promise<AcceptTest> {
  try {
    await acceptOne(AbortSignal.timeout(TEST_MS));
    return { path: 'onread' };
  } catch (error) {
    return { path: 'data', reason: describeError(error) };
  }
}

/** @throws when the connection does not behave as expected */
async function acceptOne(signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const listener = createTcpListener({
    io: createWireIo({ isPoisoned: true }),
    path: 'onread',
    maxUnsentBytes: TEST_BYTES,
    keepAliveDelayMs: 15_000,
    onError: reject,
    onConnection: (socket) => void (socket.sink = new TestSink(socket, resolve, reject)),
  });
  const onAbort = (): void => reject(new Error(`Accepted bytes did not arrive within ${TEST_MS} ms.`));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await listener.listen({ host: '127.0.0.1', port: 0 });
    const client = connect(listener.address()?.port ?? 0, '127.0.0.1')
      .on('error', reject)
      // After success this has no effect.
      .on('close', () => reject(new Error('An accepted connection was closed.')))
      .on('data', () => client.end());
    client.write(Buffer.alloc(TEST_BYTES, 1));
    try {
      await promise;
    } finally {
      client.destroy();
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    listener.close();
  }
}

/** Expects the bytes, with a pause after the first ones, answers, and waits for the end. */
class TestSink implements ByteSink {
  readonly #socket: TcpSocket;
  readonly #succeed: () => void;
  readonly #fail: (error: Error) => void;
  #received = 0;
  #isPaused = false;

  constructor(socket: TcpSocket, succeed: () => void, fail: (error: Error) => void) {
    this.#socket = socket;
    this.#succeed = succeed;
    this.#fail = fail;
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    if (this.#isPaused) this.#fail(new Error('A paused socket was read.'));
    if (!buffer.subarray(start, end).every((byte) => byte === 1))
      this.#fail(new Error('Accepted bytes were changed.'));
    if (this.#received === 0) {
      this.#isPaused = true;
      this.#socket.pause();
      setImmediate(() => {
        this.#isPaused = false;
        this.#socket.resume();
      });
    }
    this.#received += end - start;
    if (this.#received === TEST_BYTES) this.#socket.write(buffer, start, start + 1);
  }

  onReadEnd(): void {}
  onWritable(): void {}

  onClose(error: Error | undefined): void {
    if (error === undefined && this.#received === TEST_BYTES) this.#succeed();
    else this.#fail(error ?? new Error('An accepted connection lost bytes.'));
  }
}
