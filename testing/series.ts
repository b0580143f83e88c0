// The series that real services expose at /metrics: a tracker with a real Redis, a relay, and a hub.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { deviceEnvironment, startRelay, startTracker } from '../scripts/local-network.ts';
import { type Running, startService } from '../scripts/processes.ts';
import { createLogger } from '../services/shared/log.ts';
import { collectMemoryLimit } from '../services/shared/memory.ts';
import { createHandshakeObserver } from '../services/tracker/tls/handshakes.ts';
import { until } from './wait.ts';
import { startRedis } from './redis.ts';

/** Label values by metric and label. */
export type Metrics = ReadonlyMap<string, ReadonlyMap<string, ReadonlySet<string>>>;

/** The metric of garbage collections exists after the first one. A small young generation causes one early. */
const EARLY_GARBAGE_COLLECTION = { NODE_OPTIONS: '--max-semi-space-size=1' };

let metrics: Promise<Metrics> | undefined;

/** Metrics of the services. They are started once per test file. */
export async function metricsOf(): Promise<Metrics> {
  metrics ??= collect();
  return metrics;
}

/** Headers of the PROXY protocol are counted only with this setting. */
const withProxies = (service: string) => ({
  [`${service}_PROXY_PROTOCOL`]: 'true',
  [`${service}_TRUSTED_PROXIES`]: '192.0.2.1',
  ...EARLY_GARBAGE_COLLECTION,
});

async function collect(): Promise<Metrics> {
  const folder = mkdtempSync(join(tmpdir(), 'rustory-metrics-'));
  const redis = await startRedis();
  const tracker = await startTracker({ env: { TRACKER_REDIS_URL: redis.url, ...withProxies('TRACKER') } });
  const relay = await startRelay(folder, { env: withProxies('RELAY') });
  const hub = startHub(folder, deviceEnvironment(folder, 'hub', { tracker, relay }));
  try {
    // The labels of requests exist after the first request.
    await fetch(`${tracker.url}/api/v1/ping`);
    const { address } = await tracker.waitFor('ops listening');
    const { address: opsOfHub } = await hub.waitFor('ops listening');
    const texts = await Promise.all([String(address), relay.ops, String(opsOfHub)].map(scrape));
    return parse([...texts, await limitOfContainer(), await tlsOfTracker()].join('\n'));
  } finally {
    await Promise.all([tracker.stop(), relay.stop(), hub.stop()]);
    await redis.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function startHub(folder: string, env: Record<string, string>): Running {
  const secret = join(folder, 'hub.secret');
  writeFileSync(secret, 'a secret of the hub for the metrics', { mode: 0o600 });
  const ops = { RUSTORY_OPS_HOST: '127.0.0.1', RUSTORY_OPS_PORT: '0' };
  const own = { RUSTORY_HUB_SECRET_PATH: secret, RUSTORY_LISTEN: '/ip4/127.0.0.1/tcp/0', ...ops };
  return startService('peer', { args: ['hub'], env: { ...env, ...own, ...EARLY_GARBAGE_COLLECTION } });
}

async function scrape(ops: string): Promise<string> {
  let text = '';
  await until(async () => {
    text = await (await fetch(`http://${ops}/metrics`)).text();
    return text.includes('nodejs_gc_duration_seconds_count');
  }, 'the first garbage collection');
  return text;
}

/** This machine may have no memory limit, unlike a container. */
async function limitOfContainer(): Promise<string> {
  const registry = new Registry();
  collectMemoryLimit(registry, 1);
  return registry.metrics();
}

/** The tracker above serves no TLS, and the metrics of TLS exist only with it. */
async function tlsOfTracker(): Promise<string> {
  const registry = new Registry();
  const validity = { notBeforeUnixMs: 0, notAfterUnixMs: 1 };
  createHandshakeObserver({ registry, log: createLogger('test', 'silent'), validity: () => validity });
  return registry.metrics();
}

function parse(text: string): Metrics {
  const found = new Map<string, Map<string, Set<string>>>();
  for (const [, name = '', labels = ''] of text.matchAll(/^([a-z]\w*)(?:\{(.*)\})? \S+$/gim)) {
    const series = found.get(name) ?? new Map<string, Set<string>>();
    found.set(name, series);
    for (const [, label = '', value = ''] of labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g))
      series.set(label, (series.get(label) ?? new Set()).add(value));
  }
  return found;
}
