// The handlers of the API, one for each route. Each reads the request, checks permissions, calls the registry and
// responds.
import type { Handler } from 'hono';
import { unregisterRequestSchema } from '../shared/contract.ts';
import { type AppDeps, type AppEnv, loggedClient, type Refusals } from './app-context.ts';
import { permitsUser } from './auth.ts';
import { type BodyReader, createBodyReader, parseJson } from './body.ts';
import { parseListQuery } from './list-query.ts';
import { matchesTag, staleHeaders } from './listing.ts';
import { createListingCache } from './listing-cache.ts';
import { canonicalPeerId } from './peerid.ts';
import { retryAfter } from './problems.ts';
import { createRegistrationParser } from './registration.ts';
import type { RouteName } from './routes.ts';
import type { Grant } from './tokens.ts';

type AppHandler = Handler<AppEnv>;

export const TEXT_HEADERS = { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' };
export const JSON_HEADERS = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' };

export function createHandlers(deps: AppDeps, refusals: Refusals): Record<RouteName, AppHandler> {
  const readBody = createBodyReader();
  return {
    ping: () => new Response('ok\n', { headers: TEXT_HEADERS }),
    register: createRegisterHandler(deps, refusals, readBody),
    unregister: createUnregisterHandler(deps, refusals, readBody),
    list: createListHandler(deps, refusals),
  };
}

function createRegisterHandler(
  deps: AppDeps,
  { refuse, refuseBody, refuseExcess }: Refusals,
  readBody: BodyReader,
): AppHandler {
  const { registry, metrics, clientLog, rateLimits, ttlSeconds, random } = deps;
  const parseRegistration = createRegistrationParser(deps.dropPrivateAddrs);
  const responseBody = JSON.stringify({ ok: true, ttl_sec: ttlSeconds });
  return async (c) => {
    const body = await readBody(c.req.raw);
    if (!body.ok) return refuseBody(c, body);
    const parsed = parseRegistration(body.text);
    if (!parsed.ok) return refuse(c, parsed.reason, { detail: parsed.detail });
    // Nothing of a request is kept before the token permits it.
    const forbidden = forbiddenCause(c.get('grant'), parsed.request.userId);
    if (forbidden !== undefined) {
      const peerId = canonicalPeerId(parsed.request.peerId.trim());
      if (peerId !== undefined) c.set('device', { peerId, userId: parsed.request.userId });
      return refuse(c, 'forbidden', { cause: forbidden });
    }
    const record = parsed.request.read();
    if (!record.ok) return refuse(c, record.reason, { detail: record.detail });
    const { registration, droppedAddrs, droppedMeta } = record;
    const { peerId, userId } = registration;
    c.set('device', { peerId, userId });
    const grant = c.get('grant');
    const rateKey = peerRateKey(grant, peerId);
    const excess = await refuseExcess(c, 'peer', rateKey);
    if (excess !== undefined) return excess;
    const result = await registry.register(
      grant.isHub ? { ...registration, isHub: true } : registration,
      grant.userId,
    );
    metrics.registration(result.ok ? 'registered' : result.reason);
    metrics.dropped(droppedAddrs, droppedMeta);
    clientLog.dropped(loggedClient(c), droppedAddrs, droppedMeta);
    if (result.ok) {
      for (const conflict of result.conflicts ?? []) {
        metrics.conflict(conflict.kind);
        clientLog.conflict(loggedClient(c), conflict);
      }
      return new Response(responseBody, { headers: JSON_HEADERS });
    }
    if (result.reason !== 'full') {
      await rateLimits.refund('peer', rateKey);
      return refuse(c, 'forbidden', { cause: FOREIGN_CAUSES[result.reason] });
    }
    return refuse(c, 'too_many_peers', { headers: retryAfter(ttlSeconds / 2, random) });
  };
}

/** Why a token does not permit a registration; `undefined` when it does. */
function forbiddenCause(grant: Grant, userId: string | null): string | undefined {
  if (grant.readOnly) return 'read_only_token';
  return permitsUser(grant, userId) ? undefined : 'token_of_another_user';
}

/** Why a peer id belongs to another user or to a hub, for the log. */
const FOREIGN_CAUSES = {
  foreign: 'registered_by_another_user',
  held: 'held_for_another_user',
  hub: 'registered_by_a_hub',
} as const;

/**
 * Requests with a token that is bound to one user never count against the devices of another one, and those with other
 * tokens never against a hub.
 */
function peerRateKey({ userId, isHub }: Grant, peerId: string): string {
  const key = userId === undefined ? peerId : `${peerId}\0${userId}`;
  return isHub ? `${key}\0hub` : key;
}

function createUnregisterHandler(
  { registry }: AppDeps,
  { refuse, refuseBody, refuseExcess }: Refusals,
  readBody: BodyReader,
): AppHandler {
  return async (c) => {
    const body = await readBody(c.req.raw);
    if (!body.ok) return refuseBody(c, body);
    const request = parseJson(body.text, unregisterRequestSchema);
    if (!request.ok) return refuse(c, request.reason, { detail: request.detail });
    const peerId = canonicalPeerId(request.value.peer_id.trim());
    if (peerId === undefined) return refuse(c, 'invalid_peer_id');
    c.set('device', { peerId });
    const grant = c.get('grant');
    if (grant.readOnly) return refuse(c, 'forbidden', { cause: 'read_only_token' });
    const excess = await refuseExcess(c, 'peer', peerRateKey(grant, peerId));
    if (excess !== undefined) return excess;
    const removed = await registry.unregister(peerId, grant.userId, grant.isHub);
    return new Response(JSON.stringify({ ok: true, removed }), { headers: JSON_HEADERS });
  };
}

/** Whether a star hides nothing: a hub syncs with all devices, and who only reads is no device. */
function seesAll({ isHub, readOnly }: Grant): boolean {
  return isHub || readOnly;
}

function createListHandler(
  { registry, metrics, clientLog, answers, star }: AppDeps,
  { refuse }: Refusals,
): AppHandler {
  const listings = createListingCache();
  return async (c) => {
    const parsed = parseListQuery(c.req.query());
    if (!parsed.ok) return refuse(c, parsed.reason, { detail: parsed.detail });
    const { ownPeerId } = parsed;
    const grant = c.get('grant');
    const query = { ...parsed.query, star: star && !seesAll(grant) ? { ownPeerId } : undefined };
    if (!permitsUser(grant, query.userId)) return refuse(c, 'forbidden', { cause: 'token_of_another_user' });
    const page = await registry.list(query);
    const { body, tag, omitted } = listings.listing(page, query, c.get('client').isLocal);
    if (omitted > 0) {
      metrics.listingCut(omitted);
      clientLog.listingCut(query.userId, omitted);
    }
    const headers = { ...JSON_HEADERS, ...staleHeaders(page), ETag: tag };
    if (matchesTag(c.req.header('if-none-match'), tag)) return new Response(null, { status: 304, headers });
    if (typeof body === 'string') return new Response(body, { headers });
    const length = { 'Content-Length': String(body.byteLength) };
    return new Response(answers.send(body, c.env), { headers: { ...headers, ...length } });
  };
}
