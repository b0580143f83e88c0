// An app over a memory registry, as its tests use it.
import { createLogger } from '../shared/log.ts';
import { type AppDeps, createApp } from './app.ts';
import { createAuth } from './auth.ts';
import { createTrackerMetrics } from './metrics.ts';
import { createRateLimits } from './rate-limits.ts';
import { createMemoryRegistry } from './registry.memory.ts';
import type { Grant } from './tokens.ts';

export const PEER = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA';
export const OTHER_PEER = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N';
export const ADDR = '/ip4/192.168.1.20/tcp/4001';

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
      tokenRequestsPerMinute: 0,
      peerRequestsPerMinute: 0,
      addressRequestsPerMinute: 0,
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
