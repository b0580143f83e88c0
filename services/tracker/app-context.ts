// The dependencies of the API handlers, the type of their requests, and the responses that refuse a request.
import type { Context } from 'hono';
import type { Logger } from '../shared/log.ts';
import { type Auth, hasToken } from './auth.ts';
import type { AnswerConnection, Answers } from './answers.ts';
import type { ClientLog, LoggedClient } from './client-log.ts';
import type { TrackerConfig } from './config.ts';
import type { TrackerMetrics } from './metrics.ts';
import { type ProblemCode, problemResponse, retryAfter } from './problems.ts';
import { type Client, type ClientOf, createClientOf } from './proxies.ts';
import { createRateLimits, type RateLimited, type RateLimits } from './rate-limits.ts';
import { type Registry, RegistryOverloadedError, RegistryUnavailableError } from './registry/registry.ts';
import { isApiPath } from './routes.ts';
import type { Grant } from './tokens.ts';

export interface AppDeps {
  readonly registry: Registry;
  readonly auth: Auth;
  readonly metrics: TrackerMetrics;
  readonly log: Logger;
  readonly ttlSeconds: number;
  /** Path below which requests are served as well; empty: none. */
  readonly pathPrefix?: string;
  /** Whether devices are listed only the hub of their user while it is registered. */
  readonly star: boolean;
  /** Whether to drop private and loopback addresses from registrations. */
  readonly dropPrivateAddrs: boolean;
  readonly rateLimits: RateLimits;
  readonly clientOf: ClientOf;
  readonly clientLog: ClientLog;
  readonly answers: Answers;
  /** Names under which requests are accepted; empty: every name. */
  readonly allowedHosts: readonly string[];
  /** Whether the tracker accepts requests; evaluated for each probe. */
  readonly isReady: () => boolean;
  /** Clock for the ages on the status page. */
  readonly nowUnixMs: () => number;
  /** Random number from 0 to 1, which spreads the retries of clients. */
  readonly random: () => number;
}

/** The dependencies that follow from the configuration, with the clock and the randomness of the process. */
export function configuredDeps(
  config: Pick<TrackerConfig, 'limits' | 'trustedProxies'>,
): Pick<AppDeps, 'rateLimits' | 'clientOf' | 'nowUnixMs' | 'random'> {
  return {
    rateLimits: createRateLimits(config.limits),
    clientOf: createClientOf(config.trustedProxies),
    nowUnixMs: Date.now,
    random: Math.random,
  };
}

/** The type of a request in Hono. `incoming` is absent without a socket, as in tests. */
export type AppEnv = {
  Variables: {
    grant: Grant;
    client: Client;
    /** The device that the request is about, once the body was read. */
    device?: { readonly peerId: string; readonly userId?: string | null };
  };
  Bindings: AnswerConnection & { incoming?: { socket: { remoteAddress?: string } } };
};

/** Details of a refusal. */
export interface RefusalOptions {
  /** Part of the response and of the log line. */
  readonly detail?: string | undefined;
  /** Part of the log line only, because the response reveals nothing about tokens and other devices. */
  readonly cause?: string;
  readonly headers?: Record<string, string>;
}

/** Creates the responses that refuse a request, counts them by code, and logs them. */
export interface Refusals {
  refuse(c: Context<AppEnv>, code: ProblemCode, options?: RefusalOptions): Response;
  /** Refuses a body that was not read to its end. */
  refuseBody(c: Context<AppEnv>, body: { readonly reason: ProblemCode; readonly detail?: string }): Response;
  /** Counts a request towards a rate limit. Resolves to `undefined` when the request is within the limit. */
  refuseExcess(c: Context<AppEnv>, kind: RateLimited, key: string | undefined): Promise<Response | undefined>;
}

/** Closes the connection, because the rest of the body would be read as the next request. */
const CLOSE = { Connection: 'close' };

export function createRefusals({ metrics, rateLimits, random, clientLog }: AppDeps): Refusals {
  function refuse(
    c: Context<AppEnv>,
    code: ProblemCode,
    { detail, cause, headers }: RefusalOptions = {},
  ): Response {
    metrics.refusal(code);
    const { method, path } = c.req;
    const token = hasToken((name) => c.req.header(name));
    const request = { ...loggedClient(c), method, path: path.slice(0, MAX_LOGGED_LENGTH), cause, detail };
    clientLog.refused(code, { ...request, isApiPath: isApiPath(path), hasToken: token });
    return problemResponse(code, detail, headers);
  }
  return {
    refuse,
    refuseBody(c, { reason, detail }) {
      const retry = reason === 'overloaded' ? retryAfter(RETRY_UNAVAILABLE_SECONDS, random) : {};
      return refuse(c, reason, { detail, headers: { ...CLOSE, ...retry } });
    },
    async refuseExcess(c, kind, key) {
      if (key === undefined) return undefined;
      const admission = await rateLimits.consume(kind, key);
      if (admission.ok) return undefined;
      return refuse(c, 'too_many_requests', {
        detail: `the limit per ${kind} is exceeded`,
        headers: retryAfter(admission.retrySeconds, random),
      });
    },
  };
}

/** Maximum length of a path or a header in a log line, in characters. */
const MAX_LOGGED_LENGTH = 200;

/** The client of a request for a log line. */
export function loggedClient(c: Context<AppEnv>): LoggedClient {
  const { address, limitKey } = c.get('client');
  return {
    address,
    // With trusted proxies the address is that of the client already.
    forwardedFor:
      limitKey === undefined ? c.req.header('x-forwarded-for')?.slice(0, MAX_LOGGED_LENGTH) : undefined,
    ...c.get('device'),
  };
}

/** Minimum `Retry-After` while Redis does not respond, in seconds. A failover takes a few seconds. */
const RETRY_UNAVAILABLE_SECONDS = 1;

/** Minimum `Retry-After` while the tracker is overloaded, in seconds: the time that calls waited in the queue. */
const RETRY_OVERLOADED_SECONDS = 5;

/** The problem code and the minimum `Retry-After` for an error of the registry; `undefined` for any other error. */
export function registryProblem(
  error: unknown,
): { readonly code: ProblemCode; readonly retrySeconds: number } | undefined {
  if (error instanceof RegistryUnavailableError)
    return { code: 'registry_unavailable', retrySeconds: RETRY_UNAVAILABLE_SECONDS };
  if (error instanceof RegistryOverloadedError)
    return { code: 'overloaded', retrySeconds: RETRY_OVERLOADED_SECONDS };
  return undefined;
}
