// An app over a memory registry, as its tests use it. Its asserts are those of Node, because scripts/docs.ts uses it outside of Jest.
import assert from 'node:assert/strict';
import { listAnswerSchema, problemSchema } from '../services/shared/contract.ts';
import { createLogger } from '../services/shared/log.ts';
import { type AppDeps, createApp } from '../services/tracker/app.ts';
import { createAuth } from '../services/tracker/auth.ts';
import { createTrackerMetrics } from '../services/tracker/metrics.ts';
import { createRateLimits } from '../services/tracker/rate-limits.ts';
import { createMemoryRegistry } from '../services/tracker/registry/memory-registry.ts';
import type { Grant } from '../services/tracker/tokens.ts';

export const PEER = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA';
export const OTHER_PEER = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N';
export const ADDR = '/ip4/192.168.1.20/tcp/4001';

export const REGISTER = '/api/v1/peers/register';
export const UNREGISTER = '/api/v1/peers/unregister';
export const LIST = '/api/v1/peers';

const MAX_PEERS = 1_000;

export interface TestApp {
  get(path: string, headers?: Record<string, string>): Promise<Response>;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  /** The Prometheus text. */
  metrics(): Promise<string>;
}

export function createTestApp(overrides: Partial<AppDeps> = {}, grants?: Record<string, Grant>): TestApp {
  const registry = createMemoryRegistry({ ttlSeconds: 60, maxPeers: MAX_PEERS, now: Date.now });
  const metrics = createTrackerMetrics(() => registry.live(), false, MAX_PEERS);
  const find = (token: string): Grant | undefined =>
    grants !== undefined && Object.hasOwn(grants, token) ? grants[token] : undefined;
  const app = createApp({
    registry,
    metrics,
    auth: createAuth(grants === undefined ? undefined : { find }),
    log: createLogger('test', 'silent'),
    ttlSeconds: 60,
    dropPrivateAddrs: false,
    now: Date.now,
    random: () => 0.5,
    clientAddress: () => undefined,
    rateLimits: createRateLimits({
      tokenRequestsPerMinute: undefined,
      peerRequestsPerMinute: undefined,
      addressRequestsPerMinute: undefined,
    }),
    ...overrides,
  });
  return {
    get: async (path, headers = {}) => app.request(path, { headers }),
    post: async (path, body, headers = {}) =>
      app.request(path, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    metrics: () => metrics.registry.metrics(),
  };
}

/** The peers of a listing, which parses as clients parse it. */
export async function listed(app: TestApp, query = ''): Promise<unknown[]> {
  const answer = await app.get(`${LIST}${query}`);
  assert.equal(answer.status, 200);
  return listAnswerSchema.parse(await answer.json()).peers;
}

/** Status and code of a refusal, which is a problem document. */
export async function refusal(answer: Response): Promise<[number, string]> {
  assert.equal(answer.headers.get('content-type'), 'application/problem+json');
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  const problem = problemSchema.parse(await answer.json());
  assert.equal(problem.status, answer.status);
  return [answer.status, problem.code];
}
