// The calls of the API, one for each route. Each checks permissions, calls the registry and answers. They know neither
// Hono nor Node: `app.ts` and `hot-calls.ts` call them.
import { unregisterRequestSchema } from '../shared/contract.ts';
import type { Answer, ApiRequest } from './api-request.ts';
import { type AppDeps, loggedClient, type Refusals } from './app-context.ts';
import { permitsUser } from './auth.ts';
import { parseJson } from './body.ts';
import type { parseListQuery } from './list-query.ts';
import { matchesTag, staleHeaders } from './listing.ts';
import { createListingCache } from './listing-cache.ts';
import { canonicalPeerId } from './peerid.ts';
import { retryAfter } from './problems.ts';
import { createRegistrationParser, type ParsedRegistration } from './registration.ts';
import type { Eventual, ListQuery, Page, RegisterResult } from './registry/registry.ts';
import type { Grant } from './tokens.ts';

export const TEXT_HEADERS = { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' };
export const JSON_HEADERS = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' };

/** A request that was admitted. */
export interface AdmittedRequest extends ApiRequest {
  grant: Grant;
}

export interface Handlers {
  ping(): Answer;
  /** @param body the text of the body */
  register(request: AdmittedRequest, body: string): Eventual<Answer>;
  /** @param body the text of the body */
  unregister(request: AdmittedRequest, body: string): Promise<Answer>;
  /** @param query the query as it was read */
  list(request: AdmittedRequest, query: ReturnType<typeof parseListQuery>): Eventual<Answer>;
}

const PONG: Answer = { status: 200, headers: TEXT_HEADERS, body: 'ok\n' };

export function createHandlers(deps: AppDeps, refusals: Refusals): Handlers {
  return {
    ping: () => PONG,
    register: createRegisterHandler(deps, refusals),
    unregister: createUnregisterHandler(deps, refusals),
    list: createListHandler(deps, refusals),
  };
}

function createRegisterHandler(deps: AppDeps, { refuse, refuseExcess }: Refusals): Handlers['register'] {
  const { registry, metrics, clientLog, rateLimits, ttlSeconds, random } = deps;
  const parseRegistration = createRegistrationParser(deps.dropPrivateAddrs, {
    recall: registry.recall?.bind(registry),
  });
  const registered: Answer = {
    status: 200,
    headers: JSON_HEADERS,
    body: JSON.stringify({ ok: true, ttl_sec: ttlSeconds }),
  };
  function finish(
    request: AdmittedRequest,
    { droppedAddrs, droppedMeta }: ParsedRegistration,
    rateKey: string,
    result: RegisterResult,
  ): Answer {
    metrics.registration(result.ok ? 'registered' : result.reason);
    metrics.dropped(droppedAddrs, droppedMeta);
    clientLog.dropped(() => loggedClient(request), droppedAddrs, droppedMeta);
    if (result.ok) {
      for (const conflict of result.conflicts ?? []) {
        metrics.conflict(conflict.kind);
        clientLog.conflict(loggedClient(request), conflict);
      }
      return registered;
    }
    if (result.reason !== 'full') {
      rateLimits.refund('peer', rateKey);
      return refuse(request, 'forbidden', { cause: FOREIGN_CAUSES[result.reason] });
    }
    return refuse(request, 'too_many_peers', { headers: retryAfter(ttlSeconds / 2, random) });
  }

  return (request, body) => {
    const parsed = parseRegistration(body);
    if (!parsed.ok) return refuse(request, parsed.reason, { detail: parsed.detail });
    // Nothing of a request is kept before the token permits it.
    const { grant } = request;
    const forbidden = forbiddenCause(grant, parsed.request.userId);
    if (forbidden !== undefined) {
      const peerId = canonicalPeerId(parsed.request.peerId.trim());
      if (peerId !== undefined) request.device = { peerId, userId: parsed.request.userId };
      return refuse(request, 'forbidden', { cause: forbidden });
    }
    const record = parsed.request.read();
    if (!record.ok) return refuse(request, record.reason, { detail: record.detail });
    const { registration } = record;
    const { peerId, userId } = registration;
    request.device = { peerId, userId };
    const rateKey = peerRateKey(grant, peerId);
    const excess = refuseExcess(request, 'peer', rateKey);
    if (excess !== undefined) return excess;
    const result = registry.register(
      grant.isHub ? { ...registration, isHub: true } : registration,
      grant.userId,
    );
    return result instanceof Promise
      ? result.then((later) => finish(request, record, rateKey, later))
      : finish(request, record, rateKey, result);
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
  { refuse, refuseExcess }: Refusals,
): Handlers['unregister'] {
  return async (request, body) => {
    const parsed = parseJson(body, unregisterRequestSchema);
    if (!parsed.ok) return refuse(request, parsed.reason, { detail: parsed.detail });
    const peerId = canonicalPeerId(parsed.value.peer_id.trim());
    if (peerId === undefined) return refuse(request, 'invalid_peer_id');
    request.device = { peerId };
    const { grant } = request;
    if (grant.readOnly) return refuse(request, 'forbidden', { cause: 'read_only_token' });
    const excess = refuseExcess(request, 'peer', peerRateKey(grant, peerId));
    if (excess !== undefined) return excess;
    const removed = await registry.unregister(peerId, grant.userId, grant.isHub);
    return { status: 200, headers: JSON_HEADERS, body: JSON.stringify({ ok: true, removed }) };
  };
}

/** Whether a star hides nothing: a hub syncs with all devices, and who only reads is no device. */
function seesAll({ isHub, readOnly }: Grant): boolean {
  return isHub || readOnly;
}

function createListHandler(
  { registry, metrics, clientLog, star }: AppDeps,
  { refuse }: Refusals,
): Handlers['list'] {
  const listings = createListingCache();

  function finish(request: AdmittedRequest, query: ListQuery, page: Page): Answer {
    const { isLocal } = request.client;
    const known = request.header('if-none-match');
    // Whoever has the listing already needs no body.
    const knownTag = known === undefined ? undefined : listings.tag(page, isLocal);
    if (knownTag !== undefined && matchesTag(known, knownTag))
      return { status: 304, headers: listingHeaders(page, knownTag), body: null };
    const { body, tag, omitted } = listings.listing(page, query, isLocal);
    if (omitted > 0) {
      metrics.listingCut(omitted);
      clientLog.listingCut(query.userId, omitted);
    }
    const headers = listingHeaders(page, tag);
    if (matchesTag(known, tag)) return { status: 304, headers, body: null };
    return { status: 200, headers, body };
  }

  return (request, parsed) => {
    if (!parsed.ok) return refuse(request, parsed.reason, { detail: parsed.detail });
    const { ownPeerId } = parsed;
    const { grant } = request;
    const query = { ...parsed.query, star: star && !seesAll(grant) ? { ownPeerId } : undefined };
    if (!permitsUser(grant, query.userId))
      return refuse(request, 'forbidden', { cause: 'token_of_another_user' });
    const page = registry.list(query);
    return page instanceof Promise
      ? page.then((later) => finish(request, query, later))
      : finish(request, query, page);
  };
}

function listingHeaders(page: Page, tag: string): Record<string, string> {
  const { 'Content-Type': type, 'Cache-Control': control } = JSON_HEADERS;
  if (page.staleForSeconds === undefined)
    return { 'Content-Type': type, 'Cache-Control': control, ETag: tag };
  return { ...JSON_HEADERS, ...staleHeaders(page), ETag: tag };
}
