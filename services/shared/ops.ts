// The ops port of every service: liveness, readiness and metrics. It is private and not exposed through an Ingress.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Registry } from 'prom-client';
import { createListenerServer, type HttpLimits, type HttpServer } from './http-server.ts';
import type { Health } from './lifecycle.ts';
import type { Logger } from './log.ts';
import type { ListenAddress } from './variables.ts';

/**
 * Limits on the ops port. A kubelet and a few scrapers need only some connections. Connections that others hold are
 * closed for new ones.
 */
const OPS_LIMITS: HttpLimits = {
  requestTimeout: 5_000,
  headersTimeout: 5_000,
  keepAliveTimeout: 65_000,
  maxHeaderSize: 8 * 1024,
  maxConnections: 64,
};

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** What answers a path. */
type Route = () => Answer | Promise<Answer>;

/**
 * `/livez` (the process responds), `/readyz` (the service accepts work; otherwise 503 with the reasons), `/metrics`. They
 * need no web framework, whose classes would be a quarter of the memory of an idle relay.
 */
function createRoutes(health: Health, metrics: Registry): ReadonlyMap<string, Route> {
  return new Map<string, Route>([
    ['/livez', () => text('ok\n')],
    [
      '/readyz',
      () => {
        const problems = Object.entries(health.problems());
        if (problems.length === 0) return text('ok\n');
        return text(problems.map(([name, problem]) => `${name}: ${problem}\n`).join(''), 503);
      },
    ],
    [
      '/metrics',
      async () => ({ status: 200, contentType: metrics.contentType, body: await metrics.metrics() }),
    ],
  ]);
}

function text(body: string, status = 200): Answer {
  return { status, contentType: 'text/plain; charset=UTF-8', body };
}

async function respond(
  routes: ReadonlyMap<string, Route>,
  { method = '', url = '' }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const route = method === 'GET' || method === 'HEAD' ? routes.get(pathOf(url)) : undefined;
  let answer = text('404 Not Found', 404);
  try {
    if (route !== undefined) answer = await route();
  } catch {
    answer = text('Internal Server Error', 500);
  }
  const { status, contentType, body } = answer;
  response.writeHead(status, { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(body) });
  response.end(method === 'HEAD' ? undefined : body);
}

/** The path of a request target, which is a path with an optional query, or a whole URL. */
function pathOf(target: string): string {
  const url = target.startsWith('/') ? undefined : URL.parse(target);
  return url?.pathname ?? target.split('?', 1)[0] ?? '';
}

/**
 * The ops port as a component. Start it first and stop it last, so that probes always get a response.
 * Logs `ops listening` with the bound address.
 */
export function createOpsServer(
  listen: ListenAddress,
  health: Health,
  metrics: Registry,
  log: Logger,
): HttpServer {
  const routes = createRoutes(health, metrics);
  const { drain: _, ...server } = createListenerServer(
    'ops server',
    listen,
    { respond: async (request, response) => respond(routes, request, response) },
    OPS_LIMITS,
    (address) => log.info({ address }, 'ops listening'),
  );
  return server;
}
