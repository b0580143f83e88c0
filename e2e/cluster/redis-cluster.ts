// Starts a Redis Cluster with three masters and TLS.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../../testing/wait.ts';
import type { Namespace } from './kubernetes.ts';
import { container, REDIS_PORT, USER } from './redis.ts';

const MASTERS = 3;
const CERTIFICATES = '/run/tls';
/** Deadline for the state "ok" of the cluster, in milliseconds. */
const FORM_TIMEOUT_MS = 60_000;

export interface Certificate {
  readonly key: string;
  readonly certificate: string;
}

/** Makes a self-signed certificate for a host and its subdomains. */
export function makeCertificate(host: string): Certificate {
  const folder = mkdtempSync(join(tmpdir(), 'rustory-tls-'));
  try {
    const [key, certificate] = [join(folder, 'key'), join(folder, 'certificate')];
    const subject = ['-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host},DNS:*.${host}`];
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    const files = ['-keyout', key, '-out', certificate];
    execFileSync('openssl', ['req', '-x509', ...curve, ...subject, ...files], { stdio: 'ignore' });
    return { key: readFileSync(key, 'utf8'), certificate: readFileSync(certificate, 'utf8') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Starts the masters as `redis-0.redis` and so on. Returns their CA certificate. */
export async function startRedisCluster(namespace: Namespace): Promise<string> {
  const domain = `redis.${namespace.name}.svc`;
  const { key, certificate } = makeCertificate(domain);
  await namespace.secret('redis-tls', { 'tls.key': key, 'tls.crt': certificate });
  const service = { clusterIP: 'None', selector: { app: 'redis' }, publishNotReadyAddresses: true };
  await namespace.apply(
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'redis' },
      spec: { ...service, ports: [{ port: REDIS_PORT }] },
    },
    statefulSet(domain),
  );
  await namespace.kubectl('rollout', 'status', 'statefulset/redis', '--timeout=120s');
  await formCluster(namespace);
  return certificate;
}

function statefulSet(domain: string): object {
  // The nodes announce host names, because the certificate contains no IP addresses.
  const script =
    `exec redis-server --port 0 --tls-port ${REDIS_PORT} --tls-cert-file ${CERTIFICATES}/tls.crt ` +
    `--tls-key-file ${CERTIFICATES}/tls.key --tls-ca-cert-file ${CERTIFICATES}/tls.crt --tls-auth-clients no ` +
    `--tls-cluster yes --cluster-enabled yes --cluster-announce-hostname "$(hostname).${domain}" ` +
    `--cluster-preferred-endpoint-type hostname --protected-mode no --save ''`;
  const redis = container('redis', REDIS_PORT, script, [{ name: 'tls', mountPath: CERTIFICATES }]);
  const volumes = [
    { name: 'data', emptyDir: {} },
    { name: 'tls', secret: { secretName: 'redis-tls' } },
  ];
  const labels = { app: 'redis' };
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'redis' },
    spec: {
      serviceName: 'redis',
      replicas: MASTERS,
      podManagementPolicy: 'Parallel',
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { containers: [redis], volumes, securityContext: USER, automountServiceAccountToken: false },
      },
    },
  };
}

async function formCluster(namespace: Namespace): Promise<void> {
  const pods = await namespace.list('pods', 'app=redis');
  const addresses = pods.map(({ status }) => `${String(status?.['podIP'])}:${REDIS_PORT}`);
  const cli = ['exec', 'redis-0', '--', 'redis-cli', '--tls', '--insecure'];
  await namespace.kubectl(...cli, '--cluster', 'create', ...addresses, '--cluster-yes');
  await until(
    async () => (await namespace.kubectl(...cli, 'cluster', 'info')).includes('cluster_state:ok'),
    'the Redis Cluster has the state "ok"',
    FORM_TIMEOUT_MS,
  );
}
