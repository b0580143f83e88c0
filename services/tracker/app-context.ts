// The dependencies of the calls of the API, and the answers that refuse a request.
import { describeError } from '../shared/errors.ts';
import type { Logger } from '../shared/log.ts';
import { type Auth, hasToken } from './auth.ts';
import type { Answers } from './answers.ts';
import type { Answer, ApiRequest } from './api-request.ts';
import type { ClientLog, LoggedClient } from './client-log.ts';
import type { TrackerConfig } from './config.ts';
import type { TrackerMetrics } from './metrics.ts';
import { type ProblemCode, problemAnswer, retryAfter } from './problems.ts';
import { type ClientOf, createClientOf } from './proxies.ts';
import { createRateLimits, type RateLimited, type RateLimits } from './rate-limits.ts';
import { type Registry, RegistryOverloadedError, RegistryUnavailableError } from './registry/registry.ts';
import { isApiPath } from './routes.ts';

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

/** Details of a refusal. */
export interface RefusalOptions {
  /** Part of the response and of the log line. */
  readonly detail?: string | undefined;
  /** Part of the log line only, because the response reveals nothing about tokens and other devices. */
  readonly cause?: string;
  readonly headers?: Record<string, string>;
}

/** Creates the answers that refuse a request, counts them by code, and logs them. */
export interface Refusals {
  refuse(request: ApiRequest, code: ProblemCode, options?: RefusalOptions): Answer;
  /** Refuses a body that was not read to its end. */
  refuseBody(request: ApiRequest, body: { readonly reason: ProblemCode; readonly detail?: string }): Answer;
  /** Counts a request towards a rate limit. `undefined` when the request is within the limit. */
  refuseExcess(request: ApiRequest, kind: RateLimited, key: string | undefined): Answer | undefined;
  /** Answers a request that failed. */
  refuseFailed(request: ApiRequest, error: unknown): Answer;
}

/** Closes the connection, because the rest of the body would be read as the next request. */
const CLOSE = { Connection: 'close' };

export function createRefusals({ metrics, rateLimits, random, clientLog, log }: AppDeps): Refusals {
  function refuse(
    request: ApiRequest,
    code: ProblemCode,
    { detail, cause, headers }: RefusalOptions = {},
  ): Answer {
    metrics.refusal(code);
    const { method, path } = request;
    const token = hasToken((name) => request.header(name));
    const logged = {
      ...loggedClient(request),
      method,
      path: path.slice(0, MAX_LOGGED_LENGTH),
      cause,
      detail,
    };
    clientLog.refused(code, { ...logged, isApiPath: isApiPath(path), hasToken: token });
    return problemAnswer(code, detail, headers);
  }
  return {
    refuse,
    refuseBody(request, { reason, detail }) {
      const retry = reason === 'overloaded' ? retryAfter(RETRY_UNAVAILABLE_SECONDS, random) : {};
      return refuse(request, reason, { detail, headers: { ...CLOSE, ...retry } });
    },
    refuseExcess(request, kind, key) {
      if (key === undefined) return undefined;
      const admission = rateLimits.consume(kind, key);
      if (admission.ok) return undefined;
      return refuse(request, 'too_many_requests', {
        detail: `the limit per ${kind} is exceeded`,
        headers: retryAfter(admission.retrySeconds, random),
      });
    },
    refuseFailed(request, error) {
      const problem = registryProblem(error);
      log[problem === undefined ? 'error' : 'debug']({ error: describeError(error) }, 'request failed');
      if (problem === undefined) return refuse(request, 'internal');
      return refuse(request, problem.code, { headers: retryAfter(problem.retrySeconds, random) });
    },
  };
}

/** Maximum length of a path or a header in a log line, in characters. */
const MAX_LOGGED_LENGTH = 200;

/** The client of a request for a log line. */
export function loggedClient(request: ApiRequest): LoggedClient {
  const { address, limitKey } = request.client;
  return {
    address,
    // With trusted proxies the address is that of the client already.
    forwardedFor:
      limitKey === undefined ? request.header('x-forwarded-for')?.slice(0, MAX_LOGGED_LENGTH) : undefined,
    ...request.device,
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
