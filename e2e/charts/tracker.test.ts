import { describe, expect, test } from '@jest/globals';
import {
  valueAt,
  environment,
  type KubernetesObject,
  podSpec,
  render,
  TRACKER,
  UMBRELLA,
} from '../../testing/charts.ts';

const REDIS = { externalRedis: { url: 'redis://redis.databases.svc' } };

async function deployment(values = {}) {
  return (await render(TRACKER, values)).only('Deployment');
}

/** What a pod mounts, by the volume's name: the Secret or ConfigMap, and the keys where not all. */
function volumes(object: KubernetesObject): Record<string, string> {
  const list = valueAt(podSpec(object), 'volumes') as ReadonlyArray<{
    name: string;
    secret?: { secretName: string; items?: ReadonlyArray<{ key: string; path: string }> };
    configMap?: { name: string };
  }>;
  return Object.fromEntries(
    list.map(({ name, secret, configMap }) => {
      const keys = (secret?.items ?? []).map(({ key, path }) => `: ${key} as ${path}`);
      return [name, `${secret?.secretName ?? configMap?.name}${keys.join('')}`];
    }),
  );
}

describe('deployment.yaml', () => {
  test('has one tracker that remembers by itself when it is installed alone, and two with a Redis in the umbrella', async () => {
    expect(valueAt(await deployment(), 'spec', 'replicas')).toBe(1);
    expect(environment(await deployment())).not.toHaveProperty('TRACKER_REDIS_URL');
    const inUmbrella = (await render(UMBRELLA)).only('Deployment');
    expect(valueAt(inUmbrella, 'spec', 'replicas')).toBe(2);
    expect(environment(inUmbrella)).toMatchObject({ TRACKER_REDIS_URL: 'redis://rustory-redis:6379' });
  });

  test('leaves the number of pods to the autoscaler when there is one', async () => {
    expect(valueAt(await deployment({ ...REDIS, autoscaling: { enabled: true } }), 'spec')).not.toHaveProperty(
      'replicas',
    );
  });

  test('wants a token from everybody, which it reads from a mounted Secret', async () => {
    const object = await deployment();
    expect(environment(object)).toMatchObject({ TRACKER_TOKENS_FILE: '/run/rustory/tokens' });
    expect(environment(object)).not.toHaveProperty('TRACKER_ALLOW_UNAUTHENTICATED');
    expect(volumes(object)).toEqual({ tokens: 'rustory-tracker-tokens' });
  });

  test('is open only when it is told so', async () => {
    const object = await deployment({ auth: { enabled: false } });
    expect(environment(object)).toMatchObject({ TRACKER_ALLOW_UNAUTHENTICATED: 'true' });
    expect(environment(object)).not.toHaveProperty('TRACKER_TOKENS_FILE');
  });

  test.each<[string, object, object, object]>([
    [
      'its URL as a value',
      { url: 'redis://:secret@r' },
      { TRACKER_REDIS_URL_FILE: '/run/rustory/redis-url/url' },
      { 'redis-url': 'rustory-tracker-redis-url' },
    ],
    [
      'its URL in a Secret',
      { existingSecret: 'mine', urlKey: 'uri' },
      { TRACKER_REDIS_URL_FILE: '/run/rustory/redis-url/url' },
      { 'redis-url': 'mine: uri as url' },
    ],
    [
      'the password apart',
      { url: 'redis://r', existingSecret: 'mine', passwordKey: 'pw' },
      {
        TRACKER_REDIS_URL_FILE: '/run/rustory/redis-url/url',
        TRACKER_REDIS_PASSWORD_FILE: '/run/rustory/redis-password/password',
      },
      { 'redis-url': 'rustory-tracker-redis-url', 'redis-password': 'mine: pw as password' },
    ],
    [
      'an authority of your own',
      { url: 'rediss://r', caConfigMap: 'ca' },
      { NODE_EXTRA_CA_CERTS: '/run/rustory/redis-ca/ca.crt' },
      { 'redis-ca': 'ca' },
    ],
  ])(
    'takes an external Redis by %s, never through the environment',
    async (_, externalRedis, variables, mounts) => {
      const object = await deployment({ externalRedis });
      expect(environment(object)).toMatchObject(variables);
      expect(volumes(object)).toMatchObject(mounts);
      expect(JSON.stringify(object)).not.toContain('secret@');
      const mounted = valueAt(podSpec(object), 'containers', 0, 'volumeMounts') as Array<{ name: string }>;
      expect(mounted.map(({ name }) => name).toSorted()).toEqual(Object.keys(volumes(object)).toSorted());
    },
  );

  test('gives a pod the sleep, the drain and ten seconds to end', async () => {
    const spec = podSpec(await deployment({ preStopSleepSeconds: 7, drainSeconds: 20 }));
    expect(valueAt(spec, 'terminationGracePeriodSeconds')).toBe(37);
    expect(valueAt(spec, 'containers', 0, 'lifecycle', 'preStop', 'sleep', 'seconds')).toBe(7);
    expect(environment(await deployment({ preStopSleepSeconds: 7, drainSeconds: 20 }))).toMatchObject({
      TRACKER_DRAIN_SECONDS: '20',
    });
    const byDefault = valueAt(
      podSpec(await deployment()),
      'containers',
      0,
      'lifecycle',
      'preStop',
      'sleep',
      'seconds',
    );
    expect(byDefault).toBeGreaterThanOrEqual(4);
  });

  test('passes numbers, large ones too, and booleans on as the service reads them', async () => {
    const config = { TRACKER_MAX_PEERS: 1_000_000, TRACKER_DROP_PRIVATE_ADDRS: true, LOG_LEVEL: 'debug' };
    expect(environment(await deployment({ config }))).toMatchObject({
      TRACKER_MAX_PEERS: '1000000',
      TRACKER_DROP_PRIVATE_ADDRS: 'true',
      LOG_LEVEL: 'debug',
    });
  });

  test('spreads the pods with a selector of its own, whatever the topology', async () => {
    const topologySpread = {
      'topology.kubernetes.io/zone': { maxSkew: 2, whenUnsatisfiable: 'DoNotSchedule' },
    };
    const constraints = valueAt(podSpec(await deployment({ topologySpread })), 'topologySpreadConstraints');
    expect(constraints).toContainEqual({
      topologyKey: 'topology.kubernetes.io/zone',
      maxSkew: 2,
      whenUnsatisfiable: 'DoNotSchedule',
      labelSelector: {
        matchLabels: { 'app.kubernetes.io/name': 'tracker', 'app.kubernetes.io/instance': 'rustory' },
      },
    });
  });

  test('takes an image by its digest before its tag', async () => {
    const digest = `sha256:${'0'.repeat(64)}`;
    const image = valueAt(podSpec(await deployment({ image: { tag: '9', digest } })), 'containers', 0, 'image');
    expect(image).toBe(`ghcr.io/rustory/rustory-p2p-tracker@${digest}`);
  });

  test('is replaced without a moment with fewer pods', async () => {
    expect(valueAt(await deployment(), 'spec', 'strategy', 'rollingUpdate')).toEqual({
      maxSurge: 1,
      maxUnavailable: 0,
    });
  });
});

describe('service.yaml', () => {
  test('has the API and not the ops port', async () => {
    const { all } = await render(TRACKER);
    expect(all('Service').map((service) => valueAt(service, 'spec', 'ports'))).toEqual([
      [{ name: 'http', port: 8850, targetPort: 'http' }],
    ]);
  });
});

describe('ingress.yaml', () => {
  test('leads every name to the tracker by default', async () => {
    const ingress = (await render(TRACKER)).only('Ingress');
    expect(valueAt(ingress, 'spec')).toEqual({
      rules: [
        {
          http: {
            paths: [
              {
                path: '/',
                pathType: 'Prefix',
                backend: { service: { name: 'rustory-tracker', port: { name: 'http' } } },
              },
            ],
          },
        },
      ],
    });
  });

  test('has host, class, annotations and TLS', async () => {
    const ingress = (
      await render(TRACKER, {
        ingress: {
          className: 'nginx',
          host: 'tracker.example.org',
          annotations: { 'cert-manager.io/issuer': 'le' },
          tls: { enabled: true, secretName: 'cert' },
        },
      })
    ).only('Ingress');
    expect(ingress.metadata.annotations).toEqual({ 'cert-manager.io/issuer': 'le' });
    expect(valueAt(ingress, 'spec')).toMatchObject({
      ingressClassName: 'nginx',
      tls: [{ hosts: ['tracker.example.org'], secretName: 'cert' }],
      rules: [{ host: 'tracker.example.org' }],
    });
  });

  test('is left out when it is not wanted', async () => {
    expect((await render(TRACKER, { ingress: { enabled: false } })).all('Ingress')).toEqual([]);
  });
});

describe('pdb.yaml', () => {
  test.each<[string, object, object | undefined]>([
    ['no budget for one pod', {}, undefined],
    ['one pod away of two', { ...REDIS, replicaCount: 2 }, { maxUnavailable: 1 }],
    ['no budget when it is off', { ...REDIS, replicaCount: 2, pdb: { enabled: false } }, undefined],
    ['a least number', { ...REDIS, replicaCount: 3, pdb: { minAvailable: 2 } }, { minAvailable: 2 }],
    ['zero pods away', { ...REDIS, replicaCount: 3, pdb: { maxUnavailable: 0 } }, { maxUnavailable: 0 }],
    [
      'a percentage',
      { ...REDIS, replicaCount: 3, pdb: { maxUnavailable: '50%' } },
      { maxUnavailable: '50%' },
    ],
    [
      'the least pods of the autoscaler, not replicaCount',
      { ...REDIS, replicaCount: 3, autoscaling: { enabled: true, minReplicas: 1 } },
      undefined,
    ],
    [
      'a budget when the autoscaler keeps two',
      { ...REDIS, autoscaling: { enabled: true, minReplicas: 2 } },
      { maxUnavailable: 1 },
    ],
  ])('knows %s', async (_, values, expected) => {
    const budgets = (await render(TRACKER, values as never)).all('PodDisruptionBudget');
    const bounds = budgets.map((budget) => {
      const bound = structuredClone(valueAt(budget, 'spec')) as Record<string, unknown>;
      expect(bound['unhealthyPodEvictionPolicy']).toBe('AlwaysAllow');
      delete bound['selector'];
      delete bound['unhealthyPodEvictionPolicy'];
      return bound;
    });
    expect(bounds).toEqual(expected === undefined ? [] : [expected]);
  });
});

describe('hpa.yaml', () => {
  test('scales the Deployment on processor time, and on memory where that is asked for', async () => {
    const autoscaling = {
      enabled: true,
      minReplicas: 2,
      maxReplicas: 9,
      targetMemoryUtilizationPercentage: 80,
    };
    const hpa = (await render(TRACKER, { ...REDIS, autoscaling })).only('HorizontalPodAutoscaler');
    expect(valueAt(hpa, 'spec')).toMatchObject({
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'rustory-tracker' },
      minReplicas: 2,
      maxReplicas: 9,
      metrics: [
        { resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 70 } } },
        { resource: { name: 'memory', target: { type: 'Utilization', averageUtilization: 80 } } },
      ],
    });
  });
});
