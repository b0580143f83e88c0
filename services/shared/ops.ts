// The ops port of every service: liveness, readiness and metrics. It is private and not exposed through an Ingress.
import { Hono } from 'hono';
import type { Registry } from 'prom-client';
import { createHttpServer, type HttpLimits, type HttpServer } from './http-server.ts';
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

/**
 * `/livez` (the process responds), `/readyz` (the service accepts work; otherwise 503 with the reasons), `/metrics`.
 */
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
 * The ops port as a component. Start it first and stop it last, so that probes always get a response.
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
