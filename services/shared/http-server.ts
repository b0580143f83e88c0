// A server for HTTP requests on a socket: a component with a drain and with limits on clients.
import type { IncomingMessage, RequestListener, Server, ServerOptions, ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import {
  type BrokenRequest,
  type BrokenRequestError,
  brokenRequest,
  rejectBroken,
} from './broken-requests.ts';
import { monotonicMs } from './clock.ts';
import { type ConnectionSlots, createConnectionSlots } from './connection-slots.ts';
import { describeError, errorCode } from './errors.ts';
import { canonicalHost } from './host-header.ts';
import type { Component } from './lifecycle.ts';
import { inTurns } from './request-turns.ts';
import { rawSocket, superviseTls, type TlsOptions, tlsServerOptions } from './tls.ts';
import type { ListenAddress } from './variables.ts';

// An `import` of the module reads all that it exports, and with its WebSocket loads 15 MiB that nobody uses.
const { createServer } = process.getBuiltinModule('node:http');

/** Grace period in milliseconds: for this time after a drain begins, idle keep-alive connections can send requests. */
const IDLE_GRACE_MS = 1_000;

/** Interval at which a drain counts the remaining connections, in milliseconds. */
const DRAIN_POLL_MS = 50;

/** Maximum time for running requests after `stop`, in milliseconds. A drain before it has its own deadline. */
const STOP_GRACE_MS = 1_000;

/** Limits on clients. Times are in milliseconds, sizes in bytes. */
export interface HttpLimits extends Pick<
  ServerOptions,
  'requestTimeout' | 'headersTimeout' | 'keepAliveTimeout' | 'maxHeaderSize' | 'connectionsCheckingInterval'
> {
  /**
   * Maximum open connections. A further one replaces the connection that has been idle longest; it is closed immediately
   * if all have running requests.
   */
  readonly maxConnections: number;
  /**
   * Idle timeout in milliseconds. A connection that transfers no byte for this time is closed, also during a response.
   */
  readonly idleTimeoutMs?: number;
  /**
   * Maximum connections that wait to be accepted. Default: 511, as in Node.js. The kernel drops the first packet of a further
   * one, which clients repeat after a second, and has a limit of its own (`net.core.somaxconn`).
   */
  readonly backlog?: number;
}

/** Events of the server, all optional. */
export interface HttpServerEvents {
  /** A request was rejected before the app, or a connection was closed because the maximum is open. */
  onBroken?(problem: BrokenRequest, remoteAddress: string | undefined): void;
}

/**
 * What happens with a new connection before the server reads from it. Calls `proceed`, immediately or later, or destroys
 * the socket.
 */
export type ConnectionAdmission = (socket: Socket, proceed: () => void) => void;

export interface HttpServerOptions extends HttpServerEvents {
  /** Serves https with it; otherwise http. */
  readonly tls?: TlsOptions;
  readonly admission?: ConnectionAdmission | undefined;
}

/** What answers requests. */
export interface ServedRequests {
  /** Answers a request. Never rejects. */
  readonly respond: (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;
  /**
   * Answers the calls that most requests are, with less work than `respond`. Returns false, and has neither read nor
   * written anything, for any other request, also when its host is missing or not in canonical form; `respond` answers
   * that one.
   */
  readonly direct?: (request: IncomingMessage, response: ServerResponse) => boolean;
}

/** A component that knows its listen address; with port 0 only after `start`. */
export interface HttpServer extends Component {
  address(): ListenAddress | undefined;
}

/** What `createListenerServer` returns. */
export type ListenerServer = HttpServer & Required<Omit<Component, 'failed'>>;

/**
 * Serves requests. During a drain responses have `Connection: close`, and idle connections are closed after a grace
 * period, so that clients behind a load balancer lose no request. `start` rejects when the address cannot be bound.
 *
 * @param onListening called with `host:port` once bound
 */
export function createListenerServer(
  name: string,
  { host, port }: ListenAddress,
  served: ServedRequests,
  limits: HttpLimits,
  onListening: (address: string) => void,
  { onBroken, tls, admission }: HttpServerOptions = {},
): ListenerServer {
  let server: Server | undefined;
  let isDraining = false;
  let closeHandshakes: (() => void) | undefined;
  let slots: ConnectionSlots | undefined;

  return {
    name,
    async start() {
      const listening = Promise.withResolvers<void>();
      // The listener checks the host, in its turn.
      const serverOptions = { ...limits, noDelay: true, requireHostHeader: false };
      slots = createConnectionSlots(limits.maxConnections, monotonicMs);
      const listener = requestListener(served, slots, () => isDraining, onBroken);
      server =
        tls === undefined
          ? createServer(serverOptions, listener)
          : createTlsServer({ ...serverOptions, ...tlsServerOptions(tls) }, listener);
      if (tls !== undefined) closeHandshakes = superviseTls(server as TlsServer, tls);
      server.once('error', (error) =>
        listening.reject(
          new Error(`Cannot listen on ${formatAddress({ host, port })}: ${describeError(error)}.`, {
            cause: error,
          }),
        ),
      );
      // Without a listener, Node.js answers each unknown expectation itself, also thousands in one packet.
      server.on('checkExpectation', listener);
      admitConnections(server, slots, { onBroken, admission });
      if (limits.idleTimeoutMs !== undefined) server.setTimeout(limits.idleTimeoutMs);
      server.on('clientError', (error: BrokenRequestError, socket) => {
        // Other errors are those of the connection, and of handshakes, which are reported as such.
        if (/^(HPE|ERR_HTTP)_/.test(errorCode(error)))
          onBroken?.(brokenRequest(error), remoteAddressOf(socket));
        rejectBroken(error, socket);
      });
      listenWithFallback(server, { host, port, backlog: limits.backlog }, () => listening.resolve());
      await listening.promise;
      const bound = this.address();
      if (bound !== undefined) onListening(formatAddress(bound));
    },
    async drain(signal) {
      isDraining = true;
      const serving = server;
      if (serving === undefined) return;
      const idleEnd = performance.now() + IDLE_GRACE_MS;
      while (!signal.aborted && (await countConnections(serving)) > 0) {
        if (performance.now() > idleEnd) serving.closeIdleConnections();
        await new Promise((resolve) => {
          setTimeout(resolve, DRAIN_POLL_MS);
        });
      }
    },
    async stop() {
      const stopping = server;
      if (stopping === undefined || !stopping.listening) return;
      const closed = new Promise<void>((resolve) => {
        stopping.close(() => resolve());
      });
      stopping.closeIdleConnections();
      closeHandshakes?.();
      slots?.closeIdle();
      const timer = setTimeout(() => stopping.closeAllConnections(), STOP_GRACE_MS);
      await closed;
      clearTimeout(timer);
    },
    address() {
      const bound = server?.address();
      return typeof bound === 'object' && bound !== null
        ? { host: bound.address, port: bound.port }
        : undefined;
    },
  };
}

/** Answers the requests of a connection one after the other, and accepts every valid form of the host. */
function requestListener(
  { respond, direct = () => false }: ServedRequests,
  slots: ConnectionSlots,
  isDraining: () => boolean,
  onBroken: HttpServerEvents['onBroken'],
): RequestListener {
  const takeTurn = inTurns(
    (request, response) => {
      if (direct(request, response)) return;
      const { headers, httpVersion } = request;
      const { host } = headers;
      // RFC 9112 section 3.2.
      if (host === undefined && httpVersion === '1.1') {
        response.writeHead(400, { Connection: 'close' }).end();
        return;
      }
      const canonical = canonicalHost(host);
      if (canonical !== host) headers.host = canonical;
      void respond(request, response);
    },
    {
      onBusy: (socket) => slots.begin(tcpSocket(socket)),
      onQuiet: (socket) => slots.end(tcpSocket(socket)),
      onExcess: (socket) => onBroken?.('pipelined', socket.remoteAddress),
    },
  );
  return (request, response) => {
    if (isDraining()) response.setHeader('Connection', 'close');
    takeTurn(request, response);
  };
}

/** The socket itself, or the one below its TLS. */
function tcpSocket(socket: Socket): Socket {
  return rawSocket(socket as TLSSocket) ?? socket;
}

/** Gives slots to new connections, and passes them through the admission before the server reads from them. */
function admitConnections(
  server: Server,
  slots: ConnectionSlots,
  {
    onBroken,
    admission,
  }: { readonly onBroken: HttpServerEvents['onBroken']; readonly admission: ConnectionAdmission | undefined },
): void {
  const listeners = server.listeners('connection') as ((socket: Socket) => void)[];
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    const { remoteAddress } = socket;
    const closed = slots.open(socket);
    if (closed === socket) return onBroken?.('too_many_connections', remoteAddress);
    if (closed !== undefined) onBroken?.('connection_replaced', remoteAddress);
    const proceed = (): void => {
      for (const listener of listeners) listener.call(server, socket);
    };
    if (admission === undefined) proceed();
    else admission(socket, proceed);
  });
  // The admission may have replaced the address of the TCP socket by that of the client behind a proxy.
  server.on('secureConnection', (secured: TLSSocket) => {
    const replaced = Object.getOwnPropertyDescriptor(tcpSocket(secured), 'remoteAddress');
    if (replaced !== undefined) Object.defineProperty(secured, 'remoteAddress', replaced);
  });
}

function remoteAddressOf(socket: Duplex): string | undefined {
  return socket instanceof Socket ? socket.remoteAddress : undefined;
}

/** Errors of a kernel without IPv6. */
const NO_IPV6 = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL']);

/** Listens. A kernel without IPv6 has no `::`, so all addresses are then those of IPv4. */
function listenWithFallback(
  server: Server,
  { host, port, backlog }: ListenAddress & { readonly backlog: number | undefined },
  onListening: () => void,
): void {
  const others = server.listeners('error') as ((error: Error) => void)[];
  if (host === '::') {
    server.removeAllListeners('error');
    server.once('error', (error) => {
      for (const listener of others) server.on('error', listener);
      if (NO_IPV6.has(errorCode(error))) server.listen({ host: '0.0.0.0', port, backlog });
      else server.emit('error', error);
    });
    server.once('listening', () => {
      server.removeAllListeners('error');
      for (const listener of others) server.on('error', listener);
    });
  }
  server.once('listening', onListening);
  server.listen({ host, port, backlog });
}

function formatAddress({ host, port }: ListenAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

async function countConnections(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.getConnections((error, count) => resolve(error === null ? count : 0));
  });
}
