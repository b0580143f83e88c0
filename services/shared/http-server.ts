// Serves a Hono app on a socket: a component with a drain and with limits on clients.
import type { Server, ServerOptions } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { serve } from '@hono/node-server';
import { describeError, errorCode } from './errors.ts';
import type { Component } from './lifecycle.ts';
import { superviseTls, type TlsOptions, tlsServerOptions } from './tls.ts';
import type { ListenAddress } from './variables.ts';

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
  /** Maximum open connections. Further ones are closed immediately. */
  readonly maxConnections: number;
  /**
   * Idle timeout in milliseconds. A connection that transfers no byte for this time is closed, also during a response.
   */
  readonly idleTimeoutMs?: number;
}

/** What was wrong with a request that did not reach the app. */
export type BrokenRequest = 'tls' | 'timeout' | 'header_overflow' | 'malformed' | 'too_many_connections';

/** Events of the server, all optional. */
export interface HttpServerEvents {
  /** A request was rejected before the app, or a connection was closed because the maximum is open. */
  onBroken?(problem: BrokenRequest, remoteAddress: string | undefined): void;
}

export interface HttpServerOptions extends HttpServerEvents {
  /** Serves https with it; otherwise http. */
  readonly tls?: TlsOptions;
}

/** A component that knows its listen address; with port 0 only after `start`. */
export interface HttpServer extends Component {
  address(): ListenAddress | undefined;
}

/**
 * Serves an app. During a drain responses have `Connection: close`, and idle connections are closed after a grace
 * period, so that clients behind a load balancer lose no request. `start` rejects when the address cannot be bound.
 *
 * @param onListening called with `host:port` once bound
 */
export function createHttpServer(
  name: string,
  { host, port }: ListenAddress,
  app: Pick<Parameters<typeof serve>[0], 'fetch'>,
  limits: HttpLimits,
  onListening: (address: string) => void,
  { onBroken, tls }: HttpServerOptions = {},
): HttpServer & Required<Component> {
  let server: Server | undefined;
  let isDraining = false;
  let closeHandshakes: (() => void) | undefined;

  return {
    name,
    async start() {
      const listening = Promise.withResolvers<void>();
      const serverOptions = { ...limits, noDelay: true };
      const options = { fetch: app.fetch, hostname: host, port };
      server = serve(
        tls === undefined
          ? { ...options, serverOptions }
          : {
              ...options,
              createServer: createTlsServer,
              serverOptions: { ...serverOptions, ...tlsServerOptions(tls) },
            },
        () => listening.resolve(),
      ) as Server;
      if (tls !== undefined) closeHandshakes = superviseTls(server as TlsServer, tls);
      server.once('error', (error) =>
        listening.reject(
          new Error(`Cannot listen on ${formatAddress({ host, port })}: ${describeError(error)}.`, {
            cause: error,
          }),
        ),
      );
      server.maxConnections = limits.maxConnections;
      if (limits.idleTimeoutMs !== undefined) server.setTimeout(limits.idleTimeoutMs);
      server.on('clientError', (error: BrokenRequestError, socket) => {
        // Other errors are those of the connection, and of handshakes, which are reported as such.
        if (/^(HPE|ERR_HTTP)_/.test(errorCode(error)))
          onBroken?.(brokenRequest(error), remoteAddressOf(socket));
        rejectBroken(error, socket);
      });
      server.on('drop', (dropped) => onBroken?.('too_many_connections', dropped?.remoteAddress));
      server.prependListener('request', (_request, response) => {
        if (isDraining) response.setHeader('Connection', 'close');
      });
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

/** An error of the HTTP parser, with the bytes that it did not accept. */
interface BrokenRequestError extends Error {
  readonly rawPacket?: Uint8Array;
}

/** First byte of a TLS record that contains a handshake (RFC 8446 section 5.1). */
const TLS_HANDSHAKE = 0x16;

function brokenRequest(error: BrokenRequestError): BrokenRequest {
  const code = errorCode(error);
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'timeout';
  if (code === 'HPE_HEADER_OVERFLOW') return 'header_overflow';
  return error.rawPacket?.[0] === TLS_HANDSHAKE ? 'tls' : 'malformed';
}

function remoteAddressOf(socket: Duplex): string | undefined {
  return socket instanceof Socket ? socket.remoteAddress : undefined;
}

/** Responds to invalid requests and to requests that did not arrive in time, then closes the connection. */
function rejectBroken(error: Error, socket: Duplex): void {
  const code = errorCode(error);
  const [status, extraHeaders] =
    code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? ['408 Request Timeout', 'Retry-After: 1\r\n']
      : [code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request', ''];
  if (socket.writable && code !== 'ECONNRESET')
    socket.write(`HTTP/1.1 ${status}\r\n${extraHeaders}Connection: close\r\nContent-Length: 0\r\n\r\n`);
  socket.destroy();
}

function formatAddress({ host, port }: ListenAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

async function countConnections(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.getConnections((error, count) => resolve(error === null ? count : 0));
  });
}
