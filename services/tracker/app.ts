// The tracker's HTTP API as a value: a function from request to response, without a socket. It owns who may ask for
// what and how each outcome is answered; what is registered is the registry's.
import { OpenAPIHono } from '@hono/zod-openapi';
import type { Handler, MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import { getPath } from 'hono/utils/url';
import { unregisterRequestSchema } from '../shared/contract.ts';
import { describeError } from '../shared/errors.ts';
import type { Logger } from '../shared/log.ts';
import { VERSION } from '../shared/program.ts';
import { type Auth, reaches } from './auth.ts';
import { readJson, readText } from './body.ts';
import { listingBody, listingTag, matchesTag, readListQuery, staleHeaders } from './listing.ts';
import type { TrackerMetrics } from './metrics.ts';
import { type ApiDocument, awayPage, docsPage, PAGE_HEADERS, statusPage } from './pages.ts';
import { canonicalPeerId } from './peerid.ts';
import { type ProblemCode, problemResponse, retryAfter } from './problems.ts';
import type { ClientAddress } from './proxies.ts';
import type { RateLimited, RateLimits } from './rate-limits.ts';
import { createRegistrationReader } from './registration.ts';
import { type Registry, RegistryUnavailableError } from './registry/registry.ts';
import {
  documentInfo,
  listRoute,
  pingRoute,
  registerRoute,
  securitySchemes,
  unregisterRoute,
} from './routes.ts';
import type { Grant } from './tokens.ts';

export interface AppDeps {
  readonly registry: Registry;
  readonly auth: Auth;
  readonly metrics: TrackerMetrics;
  readonly log: Logger;
  readonly ttlSeconds: number;
  /** Drop private and loopback addresses from registrations. */
  readonly dropPrivateAddrs: boolean;
  readonly rateLimits: RateLimits;
  readonly clientAddress: ClientAddress;
  /** Milliseconds since 1970; only the status page's ages depend on it. */
  readonly now: () => number;
  /** From 0 to 1; spreads the clients that are told to try again. */
  readonly random: () => number;
}

/** `incoming` is absent where there is no socket, as in tests. */
type Env = {
  Variables: { grant: Grant };
  Bindings: { incoming?: { socket: { remoteAddress?: string } } };
};
type App = OpenAPIHono<Env>;
type Route = typeof pingRoute | typeof registerRoute | typeof unregisterRoute | typeof listRoute;

/** Answers that refuse, counted by their code. */
interface Refusals {
  refuse(code: ProblemCode, detail?: string, headers?: Record<string, string>): Response;
  /** The answer to a request that is one too many; `undefined` lets it through. */
  tooMany(kind: RateLimited, key: string | undefined): Promise<Response | undefined>;
}

/** Least seconds after which a client refused for want of Redis may try again: failovers take some seconds. */
const RETRY_REGISTRY_SECONDS = 1;

/** The page that shows who is registered. */
const STATUS_PATH = '/';

/** Goes with a refusal that left a body unread: what follows on the connection would be its rest. */
const UNREAD = { Connection: 'close' };

const TEXT_HEADERS = { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' };
const JSON_HEADERS = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' };

export function createApp(deps: AppDeps): App {
  const app: App = new OpenAPIHono({ getPath: tidyPath });
  const refusals = createRefusals(deps);
  app.use('*', observe(deps));
  app.use('/api/*', admit(deps, refusals, 'Bearer'));
  app.use(
    STATUS_PATH,
    admit(deps, refusals, 'Basic realm="rustory tracker: any name, the token as password"'),
  );
  mountApi(app, deps, refusals);
  mountPages(app, deps);
  app.notFound(() => refusals.refuse('not_found'));
  app.onError((error) => {
    const retry = retryAfter(RETRY_REGISTRY_SECONDS, deps.random);
    const isAway = error instanceof RegistryUnavailableError;
    deps.log[isAway ? 'debug' : 'error']({ error: describeError(error) }, 'request failed');
    return refusals.refuse(isAway ? 'registry_unavailable' : 'internal', undefined, retry);
  });
  return app;
}

function createRefusals({ metrics, rateLimits, random }: AppDeps): Refusals {
  function refuse(code: ProblemCode, detail?: string, headers?: Record<string, string>): Response {
    metrics.refusal(code);
    return problemResponse(code, detail, headers);
  }
  return {
    refuse,
    async tooMany(kind, key) {
      if (key === undefined) return undefined;
      const seconds = await rateLimits.refusedFor(kind, key);
      if (seconds === undefined) return undefined;
      return refuse('too_many_requests', `too many of this ${kind}`, retryAfter(seconds, random));
    },
  };
}

/** Measures every request, and logs it where that is asked for. */
function observe({ metrics, log }: AppDeps): MiddlewareHandler<Env> {
  return async (c, next) => {
    const began = performance.now();
    await next();
    const seconds = (performance.now() - began) / 1_000;
    const { method } = c.req;
    const { status } = c.res;
    metrics.request(method, routePath(c), status, seconds);
    if (log.isLevelEnabled('debug')) log.debug({ method, path: c.req.path, status, seconds }, 'request');
  };
}

/** Lets a request through that has a valid token and is not one too many. */
function admit(
  { auth, clientAddress }: AppDeps,
  { refuse, tooMany }: Refusals,
  challenge: string,
): MiddlewareHandler<Env> {
  return async (c, next) => {
    const header = (name: string): string | undefined => c.req.header(name);
    const { remoteAddress = '' } = c.env?.incoming?.socket ?? {};
    const flood = await tooMany('address', clientAddress(remoteAddress, header));
    if (flood !== undefined) return flood;
    const grant = auth.identify(header);
    if (grant === undefined) return refuse('unauthorized', undefined, { 'WWW-Authenticate': challenge });
    const busy = await tooMany('token', grant.id);
    if (busy !== undefined) return busy;
    c.set('grant', grant);
    return next();
  };
}

/** The calls of the API; each goes from what was sent over what is allowed to the registry and back. */
function mountApi(app: App, deps: AppDeps, { refuse, tooMany }: Refusals): void {
  const { registry, metrics, ttlSeconds, random } = deps;
  const readRegistration = createRegistrationReader(deps.dropPrivateAddrs);
  const registered = JSON.stringify({ ok: true, ttl_sec: ttlSeconds });

  /** Mounts a handler on a route, documents it, and refuses the path's other methods. */
  function mount(route: Route, handler: Handler<Env>): void {
    app.openAPIRegistry.registerPath(route);
    app.on(route.method.toUpperCase(), route.path, handler);
    const allow = route.method === 'get' ? 'GET, HEAD' : 'POST';
    app.all(route.path, () => refuse('method_not_allowed', `the path takes ${allow}`, { Allow: allow }));
  }

  mount(pingRoute, () => new Response('ok\n', { headers: TEXT_HEADERS }));

  mount(registerRoute, async (c) => {
    const body = await readText(c.req.raw);
    if (typeof body !== 'string') return refuse(body.refusal, body.detail, UNREAD);
    const registration = readRegistration(body);
    if ('refusal' in registration) return refuse(registration.refusal, registration.detail);
    const grant = c.get('grant');
    if (grant.readOnly || !reaches(grant, registration.userId)) return refuse('forbidden');
    const busy = await tooMany('peer', registration.peerId);
    if (busy !== undefined) return busy;
    const outcome = await registry.register(registration, grant.userId);
    metrics.registration(outcome);
    if (registration.dropped > 0) metrics.addressesDropped(registration.dropped);
    if (outcome === 'foreign') return refuse('forbidden');
    if (outcome === 'full') return refuse('too_many_peers', undefined, retryAfter(ttlSeconds / 2, random));
    return new Response(registered, { headers: JSON_HEADERS });
  });

  mount(unregisterRoute, async (c) => {
    const body = await readText(c.req.raw);
    if (typeof body !== 'string') return refuse(body.refusal, body.detail, UNREAD);
    const request = readJson(body, unregisterRequestSchema);
    if ('refusal' in request) return refuse(request.refusal, request.detail);
    const peerId = canonicalPeerId(request.value.peer_id.trim());
    if (peerId === undefined) return refuse('invalid_peer_id');
    const grant = c.get('grant');
    if (grant.readOnly) return refuse('forbidden');
    const busy = await tooMany('peer', peerId);
    if (busy !== undefined) return busy;
    const removed = await registry.unregister(peerId, grant.userId);
    return new Response(JSON.stringify({ ok: true, removed }), { headers: JSON_HEADERS });
  });

  mount(listRoute, async (c) => {
    const query = readListQuery(c.req.query());
    if (typeof query === 'string') return refuse('invalid_request', query);
    if (!reaches(c.get('grant'), query.userId)) return refuse('forbidden');
    const page = await registry.list(query);
    const tag = listingTag(page.peers);
    const headers = { ...JSON_HEADERS, ...staleHeaders(page), ETag: tag };
    if (matchesTag(c.req.header('if-none-match'), tag)) return new Response(null, { status: 304, headers });
    return new Response(listingBody(page, query.limit !== undefined), { headers });
  });
}

/** What people and their tools read: who is registered, and the API itself. */
function mountPages(app: App, { registry, now, random }: AppDeps): void {
  for (const [name, scheme] of Object.entries(securitySchemes))
    app.openAPIRegistry.registerComponent('securitySchemes', name, scheme);
  const info = { ...documentInfo, version: VERSION };
  const document = JSON.stringify(app.getOpenAPI31Document({ openapi: '3.1.0', info }));
  const documentPage = docsPage(JSON.parse(document) as ApiDocument);
  app.get('/openapi.json', () => new Response(document, { headers: JSON_HEADERS }));
  app.get('/docs', () => new Response(documentPage, { headers: PAGE_HEADERS }));

  app.get(STATUS_PATH, async (c) => {
    try {
      const page = await registry.list({ userId: c.get('grant').userId });
      return new Response(statusPage(page, now()), { headers: PAGE_HEADERS });
    } catch (error) {
      if (!(error instanceof RegistryUnavailableError)) throw error;
      const headers = { ...PAGE_HEADERS, ...retryAfter(RETRY_REGISTRY_SECONDS, random) };
      return new Response(awayPage(), { status: 503, headers });
    }
  });
}

/** The path without doubled or trailing slashes, which clients make of a base URL that ends in a slash. */
function tidyPath(request: Request): string {
  const path = getPath(request);
  if (!path.includes('//') && (path.length === 1 || !path.endsWith('/'))) return path;
  return path.replaceAll(/\/{2,}/g, '/').replace(/(.)\/$/, '$1');
}
