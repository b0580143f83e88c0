// Reads the header of the PROXY protocol from connections of trusted load balancers, before all layers, and gives the
// connections the address of the client. https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt
import type { ProxyHeaderOutcome } from '../shared/proxy-header-outcomes.ts';
import { ProxyHeaderReader } from '../shared/proxy-protocol.ts';
import { DeadlineQueue, type Expiring } from '../shared/deadline-queue.ts';
import type { ByteSink } from './layers.ts';
import type { TcpSocket } from './tcp-socket.ts';

/** Maximum time for the header, in milliseconds. A load balancer sends it with its first packet. */
const HEADER_TIMEOUT_MS = 5_000;

/** Maximum connections without a complete header. Above this limit the oldest one is closed, as at its deadline. */
const MAX_WAITING = 4_096;

export interface ProxyHeaderOptions {
  /** Whether the address is that of a trusted load balancer. */
  readonly isTrusted: (address: string) => boolean;
  /** Receives each connection, after its header. Sets its `sink`, or aborts it. */
  readonly onConnection: (socket: TcpSocket) => void;
  /** @param address the address that the connection comes from, not that of the client */
  readonly onOutcome: (outcome: ProxyHeaderOutcome, address: string) => void;
  /** Default 5,000. */
  readonly timeoutMs?: number;
}

/** A trusted load balancer has sent no valid header. */
export class ProxyHeaderError extends Error {
  override readonly name = 'ProxyHeaderError';
  readonly code = 'PROXY_HEADER';

  constructor(outcome: ProxyHeaderOutcome) {
    super(`The load balancer sent no valid header of the PROXY protocol: ${outcome}.`);
  }
}

/** Creates what a listener calls with its connections. */
export function createProxyHeaders(options: ProxyHeaderOptions): (socket: TcpSocket) => void {
  const waiting = new DeadlineQueue(options.timeoutMs ?? HEADER_TIMEOUT_MS, { maxSize: MAX_WAITING });
  return (socket) => {
    if (options.isTrusted(socket.remoteAddress)) {
      const sink = new HeaderSink(socket, waiting, options);
      socket.sink = sink;
      waiting.add(sink);
    } else {
      options.onOutcome('direct', socket.remoteAddress);
      options.onConnection(socket);
    }
  };
}

/** The layer of a connection until its header is complete. */
class HeaderSink implements ByteSink, Expiring {
  readonly #socket: TcpSocket;
  readonly #waiting: DeadlineQueue;
  readonly #options: ProxyHeaderOptions;
  readonly #reader = new ProxyHeaderReader();
  #isDone = false;

  constructor(socket: TcpSocket, waiting: DeadlineQueue, options: ProxyHeaderOptions) {
    this.#socket = socket;
    this.#waiting = waiting;
    this.#options = options;
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    const read = this.#reader.read(buffer, start, end);
    if (read === undefined) return;
    const { header, next } = read;
    if (header.state !== 'complete') {
      this.#refuse(header.state);
      return;
    }
    const socket = this.#socket;
    this.#finish(header.address === undefined ? 'proxy' : 'client');
    if (header.address !== undefined) {
      socket.remoteAddress = header.address;
      socket.remotePort = header.port ?? 0;
    }
    this.#options.onConnection(socket);
    if (next < end && socket.isOpen && socket.sink !== this) socket.sink.onBytes(buffer, next, end);
  }

  onReadEnd(): void {}

  onWritable(): void {}

  onClose(): void {
    if (!this.#isDone) this.#finish(this.#reader.length === 0 ? 'unused' : 'invalid');
  }

  expire(): void {
    this.#refuse('timeout');
  }

  #refuse(outcome: ProxyHeaderOutcome): void {
    this.#finish(outcome);
    this.#socket.abort(new ProxyHeaderError(outcome));
  }

  #finish(outcome: ProxyHeaderOutcome): void {
    this.#isDone = true;
    this.#waiting.remove(this);
    this.#options.onOutcome(outcome, this.#socket.remoteAddress);
  }
}
