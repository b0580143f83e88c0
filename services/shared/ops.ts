// The HTTP side every service has: its private ops port (liveness, readiness, metrics; never reachable through an
// Ingress), and how a Hono app is put on a socket.
import type { Server, ServerOptions } from 'node:http';
import type { Duplex } from 'node:stream';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import type { Registry } from 'prom-client';
import { errorCode } from './errors.ts';
import type { ListenAddress } from './env.ts';
import type { Health, Part } from './lifecycle.ts';
import type { Logger } from './log.ts';

/** What a client of the ops port may use: a kubelet and some scrapers need a handful of connections. */
const OPS_LIMITS: HttpLimits = {
  requestTimeout: 5_000,
  headersTimeout: 5_000,
  keepAliveTimeout: 65_000,
  maxHeaderSize: 8 * 1024,
  maxConnections: 64,
};

/** How long an idle kept-alive connection may still send a request after a drain began, in milliseconds. */
const IDLE_GRACE_MS = 1_000;

/** How often a drain looks whether connections are left, in milliseconds. */
const DRAIN_POLL_MS = 50;

/** Time running requests get once a stop was asked for, in milliseconds; a drain before it is where patience is. */
const STOP_GRACE_MS = 1_000;

/** Limits on what clients may take of an HTTP server. Times are in milliseconds, sizes in bytes. */
export interface HttpLimits extends Pick<
  ServerOptions,
  'requestTimeout' | 'headersTimeout' | 'keepAliveTimeout' | 'maxHeaderSize' | 'connectionsCheckingInterval'
> {
  /** Connections at the same time; more are closed at once. */
  readonly maxConnections: number;
  /** A connection on which nothing moves for so long, a reader that stopped reading included, is closed. */
  readonly idleTimeout?: number;
}

/** A part that knows where it listens: with port 0 only after `start`. */
export interface HttpServer extends Part {
  address(): ListenAddress | undefined;
}

/** `/livez` (the process answers), `/readyz` (it takes work; 503 and the reasons otherwise), `/metrics`. */
export function createOpsApp(health: Health, metrics: Registry): Hono {
  const app = new Hono();
  app.get('/livez', (c) => c.text('ok\n'));
  app.get('/readyz', (c) => {
    const problems = Object.entries(health.problems());
    if (problems.length === 0) return c.text('ok\n');
    return c.text(problems.map(([name, problem]) => `${name}: ${problem}\n`).join(''), 503);
  });
  app.get('/metrics', async (c) =>
    c.body(await metrics.metrics(), 200, { 'Content-Type': metrics.contentType }),
  );
  return app;
}

/**
 * The ops port as a part; start it first and stop it last, so that probes always have an answer.
 * Logs `ops listening` with the bound address.
 */
export function createOpsServer(
  listen: ListenAddress,
  health: Health,
  metrics: Registry,
  log: Logger,
): HttpServer {
  const { drain: _, ...server } = createHttpServer(
    'ops server',
    listen,
    createOpsApp(health, metrics),
    OPS_LIMITS,
    (address) => log.info({ address }, 'ops listening'),
  );
  return server;
}

/**
 * A Hono app on a socket, as a part with a drain: answers then carry `Connection: close`, and idle connections
 * are closed after a grace, so that clients behind a load balancer leave without losing a request.
 *
 * @param onListening told `host:port` once bound
 * `start` rejects when the address cannot be listened on.
 */
export function createHttpServer(
  name: string,
  { host, port }: ListenAddress,
  app: Pick<Parameters<typeof serve>[0], 'fetch'>,
  limits: HttpLimits,
  onListening: (address: string) => void,
): HttpServer & Required<Part> {
  let server: Server | undefined;
  let draining = false;

  return {
    name,
    async start() {
      const listening = Promise.withResolvers<void>();
      const options = { fetch: app.fetch, hostname: host, port, serverOptions: { ...limits, noDelay: true } };
      server = serve(options, () => listening.resolve()) as Server;
      server.once('error', (error) => listening.reject(error));
      server.maxConnections = limits.maxConnections;
      if (limits.idleTimeout !== undefined) server.setTimeout(limits.idleTimeout);
      server.on('clientError', refuseBroken);
      server.prependListener('request', (_request, response) => {
        if (draining) response.setHeader('Connection', 'close');
      });
      await listening.promise;
      const bound = this.address();
      if (bound !== undefined) onListening(formatAddress(bound));
    },
    async drain(signal) {
      draining = true;
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

/** Answers what is no request, or did not arrive in time, where it still can be answered; then the connection ends. */
function refuseBroken(error: Error, socket: Duplex): void {
  const code = errorCode(error);
  const [status, more] =
    code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? ['408 Request Timeout', 'Retry-After: 1\r\n']
      : [code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request', ''];
  if (socket.writable && code !== 'ECONNRESET')
    socket.write(`HTTP/1.1 ${status}\r\n${more}Connection: close\r\nContent-Length: 0\r\n\r\n`);
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
