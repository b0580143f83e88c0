// Redis over TLS with a private certificate authority, whose certificates contain names and no addresses.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, test } from '@jest/globals';
import { until } from '../../testing/wait.ts';
import { freePort, type RedisProcess, startRedis } from '../../testing/redis.ts';
import { makeCertificate } from '../cluster/redis-cluster.ts';
import { startTracker, type TrackerProcess } from '../../testing/tracker-process.ts';

const SLOTS = 16_384;

let folder: string;
let authority: string;
let redis: RedisProcess | undefined;
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
  await redis?.stop();
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Starts a Redis that also listens with TLS, and returns that port. */
async function startTlsRedis(...more: string[]): Promise<number> {
  const port = await freePort();
  const files = [
    '--tls-cert-file',
    authority,
    '--tls-key-file',
    join(folder, 'key'),
    '--tls-ca-cert-file',
    authority,
  ];
  redis = await startRedis(['--tls-port', String(port), ...files, '--tls-auth-clients', 'no', ...more]);
  return port;
}

/** Starts a tracker and waits until it is ready. */
async function startReadyTracker(url: string): Promise<void> {
  tracker = await startTracker({ TRACKER_REDIS_URL: url, NODE_EXTRA_CA_CERTS: authority });
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
