// The HTTP API of the tracker: a function from request to response, without a socket. It defines the checks before a
// handler and their order, and the responses to errors.
import { OpenAPIHono } from '@hono/zod-openapi';
import type { Context, MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import { getPath } from 'hono/utils/url';
import { monotonicMs } from '../shared/clock.ts';
import { describeError } from '../shared/errors.ts';
import { VERSION } from '../shared/program.ts';
import { type AppDeps, type AppEnv, createRefusals, type Refusals, registryProblem } from './app-context.ts';
import { accessWarning } from './device-access.ts';
import { isAllowedHost, isFromForeignPage } from './foreign-pages.ts';
import { createHandlers, JSON_HEADERS, TEXT_HEADERS } from './handlers.ts';
import { retryAfter } from './problems.ts';
import type { Conflict } from './registry/claims.ts';
import type { Registry } from './registry/registry.ts';
import { documentInfo, type RouteName, routes, securitySchemes } from './routes.ts';
import { PAGE_HEADERS, statusPage, unavailablePage } from './status-page.ts';
import type { Grant } from './tokens.ts';

type App = OpenAPIHono<AppEnv>;

/** Path of the page that lists the registered devices. */
const STATUS_PATH = '/';

export function createApp(deps: AppDeps): App {
  const app: App = new OpenAPIHono({
    getPath: (request) => withoutPrefix(normalizedPath(request), deps.pathPrefix),
  });
  const refusals = createRefusals(deps);
  app.use('*', observe(deps));
  mountProbes(app, deps);
  app.use('/api/*', admit(deps, refusals, 'Bearer'));
  app.use(
    STATUS_PATH,
    admit(deps, refusals, 'Basic realm="rustory tracker: any user name, the token as password"'),
  );
  mountApi(app, deps, refusals);
  mountPages(app, deps);
  app.notFound((c) => refusals.refuse(c, 'not_found'));
  app.onError((error, c) => {
    const problem = registryProblem(error);
    deps.log[problem === undefined ? 'error' : 'debug']({ error: describeError(error) }, 'request failed');
    if (problem === undefined) return refusals.refuse(c, 'internal');
    return refusals.refuse(c, problem.code, { headers: retryAfter(problem.retrySeconds, deps.random) });
  });
  return app;
}

/** Generates the OpenAPI document from the routes. `npm run docs` writes it to docs/openapi.json. */
export function createOpenApiDocument() {
  const app = new OpenAPIHono();
  for (const route of Object.values(routes)) app.openAPIRegistry.registerPath(route);
  for (const [name, scheme] of Object.entries(securitySchemes))
    app.openAPIRegistry.registerComponent('securitySchemes', name, scheme);
  return app.getOpenAPI31Document({ openapi: '3.1.0', info: { ...documentInfo, version: VERSION } });
}

/** Determines the client of every request, measures the request, and logs it at debug. */
function observe({ metrics, log, clientOf }: AppDeps): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const beganMs = monotonicMs();
    const { remoteAddress = '' } = c.env?.incoming?.socket ?? {};
    c.set(
      'client',
      clientOf(remoteAddress, (name) => c.req.header(name)),
    );
    await next();
    const seconds = (monotonicMs() - beganMs) / 1_000;
    const { method } = c.req;
    const { status } = c.res;
    metrics.request(method, routePath(c), status, seconds);
    if (log.isLevelEnabled('debug')) log.debug({ method, path: c.req.path, status, seconds }, 'request');
  };
}

/**
 * Mounts the paths for probes of load balancers, which have no token: the same as on the ops port, without the reasons.
 * They are served for every host.
 */
function mountProbes(app: App, { isReady }: AppDeps): void {
  app.get('/livez', () => new Response('ok\n', { headers: TEXT_HEADERS }));
  app.get('/readyz', () =>
    isReady()
      ? new Response('ok\n', { headers: TEXT_HEADERS })
      : new Response('not ready\n', { status: 503, headers: TEXT_HEADERS }),
  );
}

/** Refuses requests for other hosts, and those that change something and are from a web page of another origin. */
function refuseOrigin(
  c: Context<AppEnv>,
  { allowedHosts }: AppDeps,
  { refuse }: Refusals,
): Response | undefined {
  if (!isAllowedHost(c.req.url, allowedHosts))
    return refuse(c, 'unknown_host', { detail: 'the host is not in TRACKER_ALLOWED_HOSTS' });
  const isReading = c.req.method === 'GET' || c.req.method === 'HEAD';
  if (!isReading && isFromForeignPage(c.req.url, (name) => c.req.header(name)))
    return refuse(c, 'foreign_page', { headers: { Connection: 'close' } });
  return undefined;
}

/** What a load balancer that probes the status page should do. */
const PROBE_DETAIL = 'the status page requires a token; probe /readyz or /livez, which require none';

/** Admits a request that is within the rate limits and has a valid token. */
function admit(deps: AppDeps, refusals: Refusals, challenge: string): MiddlewareHandler<AppEnv> {
  const { auth } = deps;
  const { refuse, refuseExcess } = refusals;
  return async (c, next) => {
    const refused = refuseOrigin(c, deps, refusals);
    if (refused !== undefined) return refused;
    const { isReal, limitKey } = c.get('client');
    const grant = auth.identify((name) => c.req.header(name));
    const addressExcess = await refuseExcess(c, 'address', addressRateKey(limitKey, grant));
    if (addressExcess !== undefined) return addressExcess;
    if (grant === undefined) {
      const loginExcess = await refuseExcess(c, 'failed login', isReal ? limitKey : undefined);
      if (loginExcess !== undefined) return loginExcess;
      const detail = c.req.path === STATUS_PATH ? PROBE_DETAIL : undefined;
      return refuse(c, 'unauthorized', { detail, headers: { 'WWW-Authenticate': challenge } });
    }
    const tokenExcess = await refuseExcess(c, 'token', grant.id);
    if (tokenExcess !== undefined) return tokenExcess;
    c.set('grant', grant);
    return next();
  };
}

/** Counts requests without a valid token apart, so that they never lock out other devices behind the same NAT. */
function addressRateKey(limitKey: string | undefined, grant: Grant | undefined): string | undefined {
  return limitKey === undefined || grant !== undefined ? limitKey : `${limitKey}\0failed`;
}

/** Mounts a handler on each route, in the order of the table, and refuses the other methods of its path. */
function mountApi(app: App, deps: AppDeps, refusals: Refusals): void {
  const handlers = createHandlers(deps, refusals);
  for (const [name, route] of Object.entries(routes)) {
    // Hono writes the parameter `{name}` of the OpenAPI document as `:name`.
    const path = route.path.replaceAll(/\{(\w+)\}/g, ':$1');
    app.on(route.method.toUpperCase(), path, handlers[name as RouteName]);
    const allow = route.method === 'get' ? 'GET, HEAD' : 'POST';
    app.all(path, (c) =>
      refusals.refuse(c, 'method_not_allowed', {
        detail: `the path supports ${allow}`,
        headers: { Allow: allow },
      }),
    );
  }
}

/** Mounts the OpenAPI document and the status page. */
function mountPages(app: App, { registry, nowUnixMs, random, answers, star }: AppDeps): void {
  const document = Buffer.from(JSON.stringify(createOpenApiDocument()));
  app.get('/openapi.json', () => new Response(document, { headers: JSON_HEADERS }));

  app.get(STATUS_PATH, async (c) => {
    try {
      const { userId } = c.get('grant');
      const [page, conflicts] = await Promise.all([
        registry.list({ userId }),
        readConflicts(registry, userId),
      ]);
      const warning = accessWarning({
        url: c.req.url,
        forwardedProto: c.req.header('x-forwarded-proto'),
        requiresToken: c.get('grant').id !== undefined,
      });
      const html = Buffer.from(
        statusPage(page, { conflicts, nowUnixMs: nowUnixMs(), warning, isStar: star }),
      );
      return new Response(answers.send(html, c.env), { headers: PAGE_HEADERS });
    } catch (error) {
      const problem = registryProblem(error);
      if (problem === undefined) throw error;
      const headers = { ...PAGE_HEADERS, ...retryAfter(problem.retrySeconds, random) };
      return new Response(unavailablePage(problem.code), { status: 503, headers });
    }
  });
}

/** The conflicts that a grant may see. While the registry does not answer, its stale listing is shown without them. */
async function readConflicts(registry: Registry, userId: string | undefined): Promise<readonly Conflict[]> {
  try {
    const conflicts = await registry.conflicts();
    return conflicts.filter((conflict) => userId === undefined || conflict.userId === userId);
  } catch (error) {
    if (registryProblem(error) === undefined) throw error;
    return [];
  }
}

/** The path below the prefix. A path without the prefix is unchanged, because a proxy may have removed it. */
function withoutPrefix(path: string, prefix = ''): string {
  if (prefix === '' || (path !== prefix && !path.startsWith(`${prefix}/`))) return path;
  return path.slice(prefix.length) || '/';
}

/** The path without doubled and trailing slashes, which clients send when their base URL ends with a slash. */
function normalizedPath(request: Request): string {
  const path = getPath(request);
  if (!path.includes('//') && (path.length === 1 || !path.endsWith('/'))) return path;
  return path.replaceAll(/\/{2,}/g, '/').replace(/(.)\/$/, '$1');
}
