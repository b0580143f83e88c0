// The app of the tracker with a memory registry, for tests of its API.
import { expect } from '@jest/globals';
import { listResponseSchema, problemSchema } from '../services/shared/contract.ts';
import { createLogger } from '../services/shared/log.ts';
import { createAnswers } from '../services/tracker/answers.ts';
import type { AppDeps } from '../services/tracker/app-context.ts';
import { createApp } from '../services/tracker/app.ts';
import { createAuth } from '../services/tracker/auth.ts';
import { createClientLog } from '../services/tracker/client-log.ts';
import { readTrackerConfig, type TrackerConfig } from '../services/tracker/config.ts';
import { createTrackerMetrics } from '../services/tracker/metrics.ts';
import { createClientOf } from '../services/tracker/proxies.ts';
import { createRateLimits } from '../services/tracker/rate-limits.ts';
import { createMemoryRegistry } from '../services/tracker/registry/memory-registry.ts';
import type { Registry } from '../services/tracker/registry/registry.ts';
import type { Grant } from '../services/tracker/tokens.ts';
import { createSendDirectly } from './direct-requests.ts';

export const PEER = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA';
export const OTHER_PEER = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N';
export const ADDR = '/ip4/192.168.1.20/tcp/4001';

export const REGISTER = '/api/v1/peers/register';
export const UNREGISTER = '/api/v1/peers/unregister';
export const LIST = '/api/v1/peers';

export interface TestApp {
  /** The app as a server calls it. */
  fetch: ReturnType<typeof createApp>['fetch'];
  direct: ReturnType<typeof createApp>['direct'];
  /** Both send what is answered directly through Node's HTTP server, and the rest to Hono. */
  get(path: string, headers?: Record<string, string>): Promise<Response>;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  /** The Prometheus text. */
  metrics(): Promise<string>;
}

/** The default configuration on loopback. */
export function testConfig(): TrackerConfig {
  return readTrackerConfig({ TRACKER_LISTEN: '127.0.0.1:0', TRACKER_OPS_LISTEN: '127.0.0.1:0' });
}

/** A memory registry with the default time to live. */
export function testRegistry(maxPeers = 1_000): Registry {
  return createMemoryRegistry({
    ttlSeconds: testConfig().ttlSeconds,
    maxPeers,
    nowUnixMs: Date.now,
    nowMs: Date.now,
  });
}

/** @param grants grants by token; `undefined`: every request is permitted */
export function createTestApp(overrides: Partial<AppDeps> = {}, grants?: Record<string, Grant>): TestApp {
  const config = testConfig();
  const registry = testRegistry();
  const metrics = createTrackerMetrics(config, () => registry.live());
  const find = (token: string): Grant | undefined =>
    grants !== undefined && Object.hasOwn(grants, token) ? grants[token] : undefined;
  const app = createApp({
    ...config,
    registry,
    metrics,
    auth: createAuth(grants === undefined ? undefined : { find }),
    log: createLogger('test', 'silent'),
    nowUnixMs: Date.now,
    random: () => 0.5,
    clientOf: createClientOf(config.trustedProxies),
    clientLog: createClientLog({ log: overrides.log ?? createLogger('test', 'silent') }),
    rateLimits: createRateLimits(config.limits),
    isReady: () => true,
    answers: createAnswers(() => metrics.answerAborted()),
    ...overrides,
  });
  const sendDirectly = createSendDirectly(app.direct);
  const send = async (path: string, request: Parameters<typeof sendDirectly>[1]): Promise<Response> =>
    (await sendDirectly(path, request)) ?? app.request(path, request);
  return {
    fetch: app.fetch,
    direct: app.direct,
    get: async (path, headers = {}) => send(path, { method: 'GET', headers }),
    post: async (path, body, headers = {}) =>
      send(path, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    metrics: () => metrics.registry.metrics(),
  };
}

/** The peers of a listing, parsed as clients parse it. */
export async function listed(app: TestApp, query = ''): Promise<unknown[]> {
  const response = await app.get(`${LIST}${query}`);
  expect(response.status).toBe(200);
  return listResponseSchema.parse(await response.json()).peers;
}

/** The status and the code of a refusal, which is a problem document. */
export async function refusalOf(response: Response): Promise<[number, string]> {
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  expect(response.headers.get('cache-control')).toBe('no-store');
  const problem = problemSchema.parse(await response.json());
  expect(problem.status).toBe(response.status);
  return [response.status, problem.code];
}
