// Starts an external Redis in its own namespace, for the ci values files that require one.
import { redisImage } from './images.ts';
import type { Namespace } from './kubernetes.ts';

const RESTRICTED = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
};
export const USER = {
  runAsNonRoot: true,
  runAsUser: 65_532,
  fsGroup: 65_532,
  seccompProfile: { type: 'RuntimeDefault' },
};
const MASTER = 'mymaster';
export const REDIS_PORT = 6379;
const SENTINEL_PORT = 26_379;

/** The user of ci/sentinel-values.yaml. */
const SENTINEL_USER = 'rustory';

/** Starts one Redis with the host name `redis`. */
export async function startRedis(namespace: Namespace, password?: string): Promise<void> {
  const login = password === undefined ? ['--protected-mode', 'no'] : ['--requirepass', password];
  await namespace.apply(
    pod('redis', [container('redis', REDIS_PORT, `exec redis-server --save '' ${login.join(' ')}`)]),
    service('redis', REDIS_PORT),
  );
  await waitUntilReady(namespace, 'redis');
}

/** Starts a Redis and a Sentinel that monitors it and requires a login of its own. Returns the URL for trackers. */
export async function startSentinel(namespace: Namespace, password: string): Promise<string> {
  const host = `redis.${namespace.name}.svc`;
  const lines = [
    `port ${SENTINEL_PORT}`,
    'sentinel resolve-hostnames yes',
    'sentinel announce-hostnames yes',
    `sentinel monitor ${MASTER} ${host} ${REDIS_PORT} 1`,
    `sentinel auth-pass ${MASTER} ${password}`,
    `sentinel down-after-milliseconds ${MASTER} 5000`,
    'user default off',
    `user ${SENTINEL_USER} on allchannels +@all >${password}`,
  ];
  await startRedis(namespace, password);
  const write = lines.map((line) => `echo '${line}'`).join('; ');
  const start = `{ ${write}; } > /data/sentinel.conf; exec redis-server /data/sentinel.conf --sentinel`;
  await namespace.apply(
    pod('sentinel', [container('sentinel', SENTINEL_PORT, start)]),
    service('sentinel', SENTINEL_PORT),
  );
  await waitUntilReady(namespace, 'sentinel');
  return `redis+sentinel://:${password}@sentinel.${namespace.name}.svc:${SENTINEL_PORT}/${MASTER}`;
}

async function waitUntilReady(namespace: Namespace, name: string): Promise<void> {
  await namespace.kubectl('wait', '--for=condition=Ready', `pod/${name}`, '--timeout=120s');
}

/** A container that meets the restricted Pod Security Standard. */
export function container(
  name: string,
  port: number,
  script: string,
  mounts: readonly object[] = [],
): object {
  return {
    name,
    image: redisImage(),
    command: ['sh', '-c', script],
    ports: [{ containerPort: port }],
    readinessProbe: { tcpSocket: { port }, periodSeconds: 1 },
    securityContext: RESTRICTED,
    volumeMounts: [{ name: 'data', mountPath: '/data' }, ...mounts],
    workingDir: '/data',
  };
}

function pod(name: string, containers: object[]): object {
  const volumes = [{ name: 'data', emptyDir: {} }];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name } },
    spec: { containers, volumes, securityContext: USER, automountServiceAccountToken: false },
  };
}

function service(name: string, port: number): object {
  const spec = { selector: { app: name }, ports: [{ port, targetPort: port }] };
  return { apiVersion: 'v1', kind: 'Service', metadata: { name }, spec };
}
