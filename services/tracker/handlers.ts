// The handlers of the API, one for each route. Each reads the request, checks permissions, calls the registry and
// responds.
import type { Handler } from 'hono';
import { unregisterRequestSchema } from '../shared/contract.ts';
import type { AppDeps, AppEnv, Refusals } from './app-context.ts';
import { permitsUser } from './auth.ts';
import { parseJson, readBody } from './body.ts';
import { parseListQuery } from './list-query.ts';
import { listingBody, listingTag, matchesTag, staleHeaders } from './listing.ts';
import { canonicalPeerId } from './peerid.ts';
import { retryAfter } from './problems.ts';
import { createRegistrationReader } from './registration.ts';
import type { RouteName } from './routes.ts';

type AppHandler = Handler<AppEnv>;

/** Sent with a refusal when the body was not read, because the rest of the body would be read as the next request. */
const CLOSE = { Connection: 'close' };

const TEXT_HEADERS = { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' };
export const JSON_HEADERS = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' };

export function createHandlers(deps: AppDeps, refusals: Refusals): Record<RouteName, AppHandler> {
  return {
    ping: () => new Response('ok\n', { headers: TEXT_HEADERS }),
    register: createRegisterHandler(deps, refusals),
    unregister: createUnregisterHandler(deps, refusals),
    list: createListHandler(deps, refusals),
  };
}

function createRegisterHandler(deps: AppDeps, { refuse, refuseExcess }: Refusals): AppHandler {
  const { registry, metrics, ttlSeconds, random } = deps;
  const readRegistration = createRegistrationReader(deps.dropPrivateAddrs);
  const responseBody = JSON.stringify({ ok: true, ttl_sec: ttlSeconds });
  return async (c) => {
    const body = await readBody(c.req.raw);
    if (!body.ok) return refuse(body.reason, body.detail, CLOSE);
    const parsed = readRegistration(body.text);
    if (!parsed.ok) return refuse(parsed.reason, parsed.detail);
    const { registration, droppedAddrs, droppedMeta } = parsed;
    const grant = c.get('grant');
    if (grant.readOnly || !permitsUser(grant, registration.userId)) return refuse('forbidden');
    const excess = await refuseExcess('peer', registration.peerId);
    if (excess !== undefined) return excess;
    const result = await registry.register(registration, grant.userId);
    metrics.registration(result.ok ? 'registered' : result.reason);
    metrics.dropped(droppedAddrs, droppedMeta);
    if (result.ok) return new Response(responseBody, { headers: JSON_HEADERS });
    if (result.reason === 'foreign') return refuse('forbidden');
    return refuse('too_many_peers', undefined, retryAfter(ttlSeconds / 2, random));
  };
}

function createUnregisterHandler({ registry }: AppDeps, { refuse, refuseExcess }: Refusals): AppHandler {
  return async (c) => {
    const body = await readBody(c.req.raw);
    if (!body.ok) return refuse(body.reason, body.detail, CLOSE);
    const request = parseJson(body.text, unregisterRequestSchema);
    if (!request.ok) return refuse(request.reason, request.detail);
    const peerId = canonicalPeerId(request.value.peer_id.trim());
    if (peerId === undefined) return refuse('invalid_peer_id');
    const grant = c.get('grant');
    if (grant.readOnly) return refuse('forbidden');
    const excess = await refuseExcess('peer', peerId);
    if (excess !== undefined) return excess;
    const removed = await registry.unregister(peerId, grant.userId);
    return new Response(JSON.stringify({ ok: true, removed }), { headers: JSON_HEADERS });
  };
}

function createListHandler({ registry }: AppDeps, { refuse }: Refusals): AppHandler {
  return async (c) => {
    const parsed = parseListQuery(c.req.query());
    if (!parsed.ok) return refuse(parsed.reason, parsed.detail);
    const { query } = parsed;
    if (!permitsUser(c.get('grant'), query.userId)) return refuse('forbidden');
    const page = await registry.list(query);
    const tag = listingTag(page.peers);
    const headers = { ...JSON_HEADERS, ...staleHeaders(page), ETag: tag };
    if (matchesTag(c.req.header('if-none-match'), tag)) return new Response(null, { status: 304, headers });
    return new Response(listingBody(page, query.limit !== undefined), { headers });
  };
}
