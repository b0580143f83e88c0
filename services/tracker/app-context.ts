// What the handlers of the API share: their dependencies, the type of a request, and how a request is refused.
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
  /** Only the ages on the status page depend on it. */
  readonly nowUnixMs: () => number;
  /** From 0 to 1; spreads the clients that are asked to try again. */
  readonly random: () => number;
}

/** The type of a request in Hono. `incoming` is absent without a socket, as in tests. */
export type AppEnv = {
  Variables: { grant: Grant };
  Bindings: { incoming?: { socket: { remoteAddress?: string } } };
};

/** Creates the answers that refuse a request, and counts them by code. */
export interface Refusals {
  refuse(code: ProblemCode, detail?: string, headers?: Record<string, string>): Response;
  /** Counts a request towards a rate limit. The answer is `undefined` when the request is within the limit. */
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

/** Shortest `Retry-After` while Redis does not answer, in seconds: a failover takes a few seconds. */
const RETRY_UNAVAILABLE_SECONDS = 1;

/** Shortest `Retry-After` while the tracker is overloaded, in seconds: calls waited this long in its queue. */
const RETRY_OVERLOADED_SECONDS = 5;

/** The problem and the shortest `Retry-After` for an error of the registry; `undefined` for any other error. */
export function registryProblem(
  error: unknown,
): { readonly code: ProblemCode; readonly retrySeconds: number } | undefined {
  if (error instanceof RegistryUnavailableError)
    return { code: 'registry_unavailable', retrySeconds: RETRY_UNAVAILABLE_SECONDS };
  if (error instanceof RegistryOverloadedError)
    return { code: 'overloaded', retrySeconds: RETRY_OVERLOADED_SECONDS };
  return undefined;
}
