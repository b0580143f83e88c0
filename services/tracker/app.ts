// The HTTP API of the tracker: a function from request to response, without a socket. It mounts the checks before a
// handler, the handlers, the pages, and the responses to errors. The calls that most requests are have a second way in,
// without Hono: `hot-calls.ts`.
import { OpenAPIHono } from '@hono/zod-openapi';
import type { Context, MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import { getPath } from 'hono/utils/url';
import { monotonicMs } from '../shared/clock.ts';
import type { ServedApp } from '../shared/app-server.ts';
import { VERSION } from '../shared/program.ts';
import { type Admit, API_CHALLENGE, createAdmission, STATUS_PATH } from './admission.ts';
import type { AnswerConnection, Answers } from './answers.ts';
import type { Answer, ApiRequest } from './api-request.ts';
import { type AppDeps, createRefusals, type Refusals, registryProblem } from './app-context.ts';
import { createBodyReader } from './body.ts';
import { accessWarning } from './device-access.ts';
import {
  type AdmittedRequest,
  createHandlers,
  type Handlers,
  JSON_HEADERS,
  TEXT_HEADERS,
} from './handlers.ts';
import { createHotCalls } from './hot-calls.ts';
import { parseListQuery } from './list-query.ts';
import { retryAfter } from './problems.ts';
import type { Conflict } from './registry/claims.ts';
import type { Registry } from './registry/registry.ts';
import { API_PATHS, documentInfo, type RouteName, routes, securitySchemes } from './routes.ts';
import { PAGE_HEADERS, statusPage, unavailablePage } from './status-page.ts';

/** The type of a request in Hono. `incoming` is absent without a socket, as in tests. */
type AppEnv = {
  Variables: { request: ApiRequest };
  Bindings: AnswerConnection & { incoming?: { socket: { remoteAddress?: string } } };
};

type App = OpenAPIHono<AppEnv>;

/** What a browser is asked for at the status page. */
const PAGE_CHALLENGE = 'Basic realm="rustory tracker: any user name, the token as password"';

/** The API as a server calls it: all requests through Hono, and the hot calls directly. */
export interface TrackerApp extends ServedApp {
  readonly fetch: App['fetch'];
  readonly request: App['request'];
  readonly direct: NonNullable<ServedApp['direct']>;
}

export function createApp(deps: AppDeps): TrackerApp {
  const app: App = new OpenAPIHono({
    getPath: (request) => withoutPrefix(normalizedPath(request), deps.pathPrefix),
  });
  const { answers } = deps;
  const refusals = createRefusals(deps);
  const admit = createAdmission(deps, refusals);
  const handlers = createHandlers(deps, refusals);
  app.use('*', observe(deps));
  mountProbes(app, deps);
  app.use(API_PATHS, admitted(admit, answers, API_CHALLENGE));
  app.use(STATUS_PATH, admitted(admit, answers, PAGE_CHALLENGE));
  mountApi(app, deps, refusals, handlers);
  mountPages(app, deps);
  app.notFound((c) => toResponse(c, refusals.refuse(c.get('request'), 'not_found'), answers));
  app.onError((error, c) => toResponse(c, refusals.refuseFailed(c.get('request'), error), answers));
  return {
    fetch: app.fetch,
    request: app.request,
    direct: createHotCalls(deps, { refusals, admit, handlers }),
  };
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
    const header = (name: string): string | undefined => c.req.header(name);
    const { method, path, url } = c.req;
    const client = clientOf(remoteAddress, header);
    c.set('request', { method, path, url, header, client, grant: undefined, device: undefined });
    await next();
    const seconds = (monotonicMs() - beganMs) / 1_000;
    const { status } = c.res;
    metrics.request(method, routePath(c), status, seconds);
    if (log.isLevelEnabled('debug')) log.debug({ method, path, status, seconds }, 'request');
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

/** Admits the requests below a path. */
function admitted(admit: Admit, answers: Answers, challenge: string): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const refused = admit(c.get('request'), challenge);
    return refused === undefined ? next() : toResponse(c, refused, answers);
  };
}

/** The response of Hono with an answer. */
function toResponse(c: Context<AppEnv>, { status, headers, body }: Answer, answers: Answers): Response {
  if (body === null || c.req.method === 'HEAD') return new Response(body, { status, headers });
  const bytes = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
  const withLength = { ...headers, 'Content-Length': String(bytes) };
  const sent = typeof body === 'string' ? body : answers.send(body, c.env);
  return new Response(sent, { status, headers: withLength });
}

/** Mounts a handler on each route, in the order of the table, and refuses the other methods of its path. */
function mountApi(app: App, { answers }: AppDeps, refusals: Refusals, handlers: Handlers): void {
  const readBody = createBodyReader();
  const calls: Record<RouteName, (c: Context<AppEnv>, request: AdmittedRequest) => Answer | Promise<Answer>> =
    {
      ping: () => handlers.ping(),
      register: async (c, request) => {
        const body = await readBody(c.req.raw);
        return body.ok ? handlers.register(request, body.text) : refusals.refuseBody(request, body);
      },
      unregister: async (c, request) => {
        const body = await readBody(c.req.raw);
        return body.ok ? handlers.unregister(request, body.text) : refusals.refuseBody(request, body);
      },
      list: (c, request) => handlers.list(request, parseListQuery(c.req.query())),
    };
  for (const [name, route] of Object.entries(routes)) {
    // Hono writes the parameter `{name}` of the OpenAPI document as `:name`.
    const path = route.path.replaceAll(/\{(\w+)\}/g, ':$1');
    const call = calls[name as RouteName];
    app.on(route.method.toUpperCase(), path, async (c) =>
      toResponse(c, await call(c, c.get('request') as AdmittedRequest), answers),
    );
    const allow = route.method === 'get' ? 'GET, HEAD' : 'POST';
    app.all(path, (c) => {
      const detail = `the path supports ${allow}`;
      const options = { detail, headers: { Allow: allow } };
      return toResponse(c, refusals.refuse(c.get('request'), 'method_not_allowed', options), answers);
    });
  }
}

/** Mounts the OpenAPI document and the status page. */
function mountPages(app: App, { registry, nowUnixMs, random, answers, star }: AppDeps): void {
  const document = Buffer.from(JSON.stringify(createOpenApiDocument()));
  app.get('/openapi.json', () => new Response(document, { headers: JSON_HEADERS }));

  app.get(STATUS_PATH, async (c) => {
    try {
      const { userId, id } = (c.get('request') as AdmittedRequest).grant;
      const [page, conflicts] = await Promise.all([
        registry.list({ userId }),
        readConflicts(registry, userId),
      ]);
      const warning = accessWarning({
        url: c.req.url,
        forwardedProto: c.req.header('x-forwarded-proto'),
        requiresToken: id !== undefined,
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
