// The dependencies of the API handlers, the type of their requests, and the responses that refuse a request.
import type { Logger } from '../shared/log.ts';
import type { Auth } from './auth.ts';
import type { TrackerMetrics } from './metrics.ts';
import { type ProblemCode, problemResponse, retryAfter } from './problems.ts';
import type { ClientAddress } from './proxies.ts';
import type { RateLimited, RateLimits } from './rate-limits.ts';
import { type Registry, RegistryOverloadedError, RegistryUnavailableError } from './registry/registry.ts';
import type { Grant } from './tokens.ts';

export interface AppDeps {
  readonly registry: Registry;
  readonly auth: Auth;
  readonly metrics: TrackerMetrics;
  readonly log: Logger;
  readonly ttlSeconds: number;
  /** Whether to drop private and loopback addresses from registrations. */
  readonly dropPrivateAddrs: boolean;
  readonly rateLimits: RateLimits;
  readonly clientAddress: ClientAddress;
  /** Clock for the ages on the status page. */
  readonly nowUnixMs: () => number;
  /** Random number from 0 to 1, which spreads the retries of clients. */
  readonly random: () => number;
}

/** The type of a request in Hono. `incoming` is absent without a socket, as in tests. */
export type AppEnv = {
  Variables: { grant: Grant };
  Bindings: { incoming?: { socket: { remoteAddress?: string } } };
};

/** Creates the responses that refuse a request, and counts them by code. */
export interface Refusals {
  refuse(code: ProblemCode, detail?: string, headers?: Record<string, string>): Response;
  /** Counts a request towards a rate limit. Resolves to `undefined` when the request is within the limit. */
  refuseExcess(kind: RateLimited, key: string | undefined): Promise<Response | undefined>;
}

export function createRefusals({ metrics, rateLimits, random }: AppDeps): Refusals {
  function refuse(code: ProblemCode, detail?: string, headers?: Record<string, string>): Response {
    metrics.refusal(code);
    return problemResponse(code, detail, headers);
  }
  return {
    refuse,
    async refuseExcess(kind, key) {
      if (key === undefined) return undefined;
      const admission = await rateLimits.consume(kind, key);
      if (admission.ok) return undefined;
      const headers = retryAfter(admission.retrySeconds, random);
      return refuse('too_many_requests', `the limit per ${kind} is exceeded`, headers);
    },
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
