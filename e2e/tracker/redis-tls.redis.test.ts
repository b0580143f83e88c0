// Redis over TLS with a private certificate authority, whose certificates contain names and no addresses.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, test } from '@jest/globals';
import { until } from '../../testing/wait.ts';
import { freePort, type RedisProcess, startProcess, startRedis } from '../../testing/redis.ts';
import { makeCertificate } from '../cluster/redis-cluster.ts';
import { startTracker, type TrackerProcess } from '../../testing/tracker-process.ts';

const SLOTS = 16_384;

let folder: string;
let authority: string;
let redis: RedisProcess | undefined;
let sentinel: RedisProcess | undefined;
let tracker: TrackerProcess | undefined;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rustory-tls-'));
  const { key, certificate } = makeCertificate('localhost');
  authority = join(folder, 'certificate');
  writeFileSync(authority, certificate);
  writeFileSync(join(folder, 'key'), key);
});

afterEach(async () => {
  await tracker?.end('SIGTERM');
  await Promise.all([redis?.stop(), sentinel?.stop()]);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Options of a Redis or Sentinel that also listens with TLS. */
function tlsOptions(port: number): string[] {
  const files = [
    '--tls-cert-file',
    authority,
    '--tls-key-file',
    join(folder, 'key'),
    '--tls-ca-cert-file',
    authority,
  ];
  return ['--tls-port', String(port), ...files, '--tls-auth-clients', 'no'];
}

/** Starts a Redis that also listens with TLS, and returns that port. */
async function startTlsRedis(...more: string[]): Promise<number> {
  const port = await freePort();
  redis = await startRedis([...tlsOptions(port), ...more]);
  return port;
}

/** Starts a Sentinel that also listens with TLS, and announces this port of Redis. Returns both ports. */
async function startTlsSentinel(redisPort: number): Promise<{ plain: number; secure: number }> {
  const config = join(folder, `sentinel-${redisPort}`);
  const names = ['resolve-hostnames', 'announce-hostnames'].map((name) => `sentinel ${name} yes\n`);
  writeFileSync(config, `${names.join('')}sentinel monitor rustory localhost ${redisPort} 1\n`);
  const [plain, secure] = [await freePort(), await freePort()];
  sentinel = await startProcess('redis-server', plain, [config, '--sentinel', ...tlsOptions(secure)]);
  return { plain, secure };
}

/** Starts a tracker and waits until it is ready. */
async function startReadyTracker(url: string, variables: Record<string, string> = {}): Promise<void> {
  tracker = await startTracker({ TRACKER_REDIS_URL: url, NODE_EXTRA_CA_CERTS: authority, ...variables });
  const { opsUrl } = tracker;
  await until(
    async () => (await fetch(`${opsUrl}/readyz`)).status === 200,
    `the tracker is ready: ${tracker?.output()}`,
  );
}

test('a tracker connects to Redis over TLS', async () => {
  const port = await startTlsRedis();
  await startReadyTracker(`rediss://localhost:${port}`);
});

test('a tracker connects to a Redis Cluster over TLS by the names of its nodes', async () => {
  const names = ['--cluster-announce-hostname', 'localhost', '--cluster-preferred-endpoint-type', 'hostname'];
  const port = await startTlsRedis('--cluster-enabled', 'yes', '--tls-cluster', 'yes', ...names);
  await redis?.command('CLUSTER', 'ADDSLOTSRANGE', 0, SLOTS - 1);
  await startReadyTracker(`rediss+cluster://localhost:${port}`);
});

test.each([
  { redisTls: true, sentinelTls: false },
  { redisTls: false, sentinelTls: true },
  { redisTls: true, sentinelTls: true },
])('a tracker connects with %j', async ({ redisTls, sentinelTls }) => {
  const secureRedis = await startTlsRedis();
  const { plain, secure } = await startTlsSentinel(redisTls ? secureRedis : (redis?.port ?? 0));
  const sentinelPort = sentinelTls ? secure : plain;
  await startReadyTracker(`redis${redisTls ? 's' : ''}+sentinel://localhost:${sentinelPort}/rustory`, {
    TRACKER_REDIS_SENTINEL_TLS: String(sentinelTls),
  });
});
