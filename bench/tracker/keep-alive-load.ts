// Requests over connections that stay open, for throughput: each connection sends its next request when it has read the
// answer to the last one.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { AnswerReader, type BodyCheck } from './answer-reader.ts';
import { Latencies } from './latencies.ts';

/** Connections of the throughput runs. */
export const CONNECTIONS = 16;

/** Size of the buffer that all connections of this process read into, one after the other. */
const READ_BYTES = 256 * 1024;

/** Maximum time without any answer, in milliseconds. */
const SILENCE_MS = 10_000;

export interface KeepAliveOptions {
  readonly port: number;
  readonly check: BodyCheck;
  /**
   * The next request. It stays unchanged until it is answered.
   *
   * @param connection index of the connection
   */
  readonly next: (connection: number) => Buffer;
  /** A number that `reflects` of an answer must reach when its request is sent now. Default: 0. */
  readonly required?: () => number;
}

export interface LoadRun {
  /** Answers that were read and checked. */
  readonly operations: number;
  readonly latenciesMs: number[];
}

/** One connection. A class, because it is used for each request of the load. */
class LoadConnection {
  readonly socket: Socket;
  isBusy = false;
  sentMs = 0;
  required = 0;
  readonly reader: AnswerReader;

  constructor(load: KeepAliveLoad, { port, check }: KeepAliveOptions, buffer: Buffer) {
    this.reader = new AnswerReader(check);
    this.socket = connect({
      host: '127.0.0.1',
      port,
      noDelay: true,
      onread: {
        buffer,
        callback: (bytes: number, filled: Uint8Array) => {
          load.received(this, filled as Buffer, bytes);
          return true;
        },
      },
    });
    this.socket.on('error', (error) => load.fail(error));
    this.socket.on('close', () => load.fail(new Error('The server closed a connection.')));
  }
}

export class KeepAliveLoad {
  readonly #options: KeepAliveOptions;
  readonly #connections: LoadConnection[] = [];
  /** The run that is going on. */
  #latencies = new Latencies();
  #endMs = 0;
  /** Requests that are not sent yet. */
  #left = 0;
  #finished: PromiseWithResolvers<void> = unobserved();
  #failure: unknown;
  #isClosed = false;
  /** Times at which requests of `runAt` should have been sent while all connections were busy. */
  #waitingMs: number[] = [];
  #isPaced = false;
  /** The connection of a paced run that was tried last. */
  #turn = 0;

  private constructor(options: KeepAliveOptions) {
    this.#options = options;
  }

  static async open(options: KeepAliveOptions, connections: number = CONNECTIONS): Promise<KeepAliveLoad> {
    const load = new KeepAliveLoad(options);
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    for (let n = 0; n < connections; n += 1)
      load.#connections.push(new LoadConnection(load, options, buffer));
    await Promise.all(load.#connections.map(async ({ socket }) => once(socket, 'connect')));
    return load;
  }

  /** Sends on all connections for this time, as fast as they are answered. @throws Error when an answer is wrong */
  async run(milliseconds: number): Promise<LoadRun> {
    return this.#saturate(milliseconds, Number.POSITIVE_INFINITY);
  }

  /** Sends this number of requests on all connections, as fast as they are answered. @throws Error as above */
  async send(count: number): Promise<LoadRun> {
    return this.#saturate(Number.POSITIVE_INFINITY, count);
  }

  async #saturate(milliseconds: number, count: number): Promise<LoadRun> {
    return this.#runUntilIdle(milliseconds, false, () => {
      this.#left = count;
      for (const [index, connection] of this.#connections.entries())
        if (this.#left > 0) this.#send(connection, index, performance.now());
      this.#finishIfIdle();
    });
  }

  /**
   * Sends at a constant rate, whatever the server does. A latency includes the time that a request waited for a connection.
   *
   * @throws Error when an answer is wrong
   */
  async runAt(perSecond: number, milliseconds: number): Promise<LoadRun> {
    let timer: NodeJS.Timeout | undefined;
    let sent = 0;
    const startedMs = performance.now();
    try {
      return await this.#runUntilIdle(milliseconds, true, () => {
        this.#left = Number.POSITIVE_INFINITY;
        timer = setInterval(() => {
          const nowMs = performance.now();
          if (nowMs >= this.#endMs) {
            clearInterval(timer);
            return this.#finishIfIdle();
          }
          const due = Math.floor(((nowMs - startedMs) / 1_000) * perSecond) - sent;
          sent += due;
          for (let n = 0; n < due; n += 1) this.#waitingMs.push(nowMs);
          this.#sendInTurns();
        }, 1);
      });
    } finally {
      clearInterval(timer);
    }
  }

  /** All connections get requests: a server may close one that is not used. */
  #sendInTurns(): void {
    const { length } = this.#connections;
    for (let tried = 0; tried < length && this.#waitingMs.length > 0; tried += 1) {
      this.#turn = (this.#turn + 1) % length;
      this.#sendNext(this.#connections[this.#turn] as LoadConnection, this.#turn);
    }
  }

  async #runUntilIdle(milliseconds: number, isPaced: boolean, begin: () => void): Promise<LoadRun> {
    const latencies = new Latencies();
    this.#latencies = latencies;
    this.#isPaced = isPaced;
    this.#waitingMs = [];
    this.#finished = unobserved();
    if (this.#failure !== undefined) throw this.#failure;
    this.#endMs = performance.now() + milliseconds;
    const watchdog = this.#watch();
    try {
      begin();
      await this.#finished.promise;
    } finally {
      clearInterval(watchdog);
    }
    return { operations: latencies.count, latenciesMs: latencies.toArray() };
  }

  #watch(): NodeJS.Timeout {
    let counted = -1;
    return setInterval(() => {
      if (this.#latencies.count === counted)
        this.fail(new Error(`There was no answer for ${SILENCE_MS} ms.`));
      counted = this.#latencies.count;
    }, SILENCE_MS);
  }

  /** Called by a connection that has read bytes. */
  received(connection: LoadConnection, bytes: Buffer, length: number): void {
    try {
      if (!connection.isBusy) throw new Error('There was an answer without a request.');
      if (!connection.reader.read(bytes, length)) return;
      if (connection.reader.body.reflects < connection.required)
        throw new Error(
          'A listing does not contain a registration that was acknowledged before the listing was requested.',
        );
    } catch (error) {
      return this.fail(error);
    }
    const nowMs = performance.now();
    connection.isBusy = false;
    this.#latencies.add(nowMs - connection.sentMs);
    const index = this.#connections.indexOf(connection);
    if (this.#isPaced) this.#sendNext(connection, index);
    else if (nowMs < this.#endMs && this.#left > 0) this.#send(connection, index, nowMs);
    if (!connection.isBusy && (nowMs >= this.#endMs || this.#left === 0)) this.#finishIfIdle();
  }

  #sendNext(connection: LoadConnection, index: number): void {
    if (connection.isBusy) return;
    const dueMs = this.#waitingMs.shift();
    if (dueMs !== undefined) this.#send(connection, index, dueMs);
  }

  #send(connection: LoadConnection, index: number, startMs: number): void {
    this.#left -= 1;
    connection.isBusy = true;
    connection.sentMs = startMs;
    connection.required = this.#options.required?.() ?? 0;
    connection.socket.write(this.#options.next(index));
  }

  #finishIfIdle(): void {
    if (this.#waitingMs.length === 0 && this.#connections.every(({ isBusy }) => !isBusy))
      this.#finished.resolve();
  }

  fail(error: unknown): void {
    if (this.#isClosed) return;
    this.#failure ??= error;
    this.#finished.reject(error);
  }

  close(): void {
    this.#isClosed = true;
    for (const { socket } of this.#connections) socket.destroy();
  }
}

/** A promise that may be rejected while nothing waits for it: a connection may fail between two runs. */
function unobserved(): PromiseWithResolvers<void> {
  const resolvers = Promise.withResolvers<void>();
  void Promise.allSettled([resolvers.promise]);
  return resolvers;
}
