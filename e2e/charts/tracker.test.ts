import { describe, expect, test } from '@jest/globals';
import {
  valueAt,
  environment,
  podSpec,
  render,
  sourceOfFile,
  TRACKER,
  UMBRELLA,
} from '../../testing/charts.ts';

const REDIS = { externalRedis: { url: 'redis://redis.databases.svc' } };

async function deployment(values = {}) {
  return (await render(TRACKER, values)).only('Deployment');
}

describe('deployment.yaml', () => {
  test('runs one tracker without Redis when installed alone, and two with Redis in the umbrella', async () => {
    expect(valueAt(await deployment(), 'spec', 'replicas')).toBe(1);
    expect(environment(await deployment())).not.toHaveProperty('TRACKER_REDIS_URL');
    const inUmbrella = (await render(UMBRELLA)).only('Deployment');
    expect(valueAt(inUmbrella, 'spec', 'replicas')).toBe(2);
    expect(environment(inUmbrella)).toMatchObject({ TRACKER_REDIS_URL: 'redis://rustory-redis:6379' });
  });

  test('sets no number of pods with an autoscaler', async () => {
    expect(
      valueAt(await deployment({ ...REDIS, autoscaling: { enabled: true } }), 'spec'),
    ).not.toHaveProperty('replicas');
  });

  test('requires a token by default, which it reads from a mounted Secret', async () => {
    const object = await deployment();
    const { TRACKER_TOKENS_FILE: tokens } = environment(object);
    expect(sourceOfFile(object, `${String(tokens)}/token`)).toBe('rustory-tracker-tokens/token');
    expect(environment(object)).not.toHaveProperty('TRACKER_ALLOW_UNAUTHENTICATED');
  });

  test('requires no token only when auth.enabled is false', async () => {
    const object = await deployment({ auth: { enabled: false } });
    expect(environment(object)).toMatchObject({ TRACKER_ALLOW_UNAUTHENTICATED: 'true' });
    expect(environment(object)).not.toHaveProperty('TRACKER_TOKENS_FILE');
  });

  test.each<[string, object, Record<string, string>]>([
    [
      'a URL in the values',
      { url: 'redis://:secret@r' },
      { TRACKER_REDIS_URL_FILE: 'rustory-tracker-redis-url/url' },
    ],
    ['a URL in a Secret', { existingSecret: 'mine', urlKey: 'uri' }, { TRACKER_REDIS_URL_FILE: 'mine/uri' }],
    [
      'a URL in the values and a password in a Secret',
      { url: 'redis://r', existingSecret: 'mine', passwordKey: 'pw' },
      { TRACKER_REDIS_URL_FILE: 'rustory-tracker-redis-url/url', TRACKER_REDIS_PASSWORD_FILE: 'mine/pw' },
    ],
    [
      'a private certificate authority',
      { url: 'rediss://r', caConfigMap: 'ca' },
      { TRACKER_REDIS_URL_FILE: 'rustory-tracker-redis-url/url', NODE_EXTRA_CA_CERTS: 'ca/ca.crt' },
    ],
  ])(
    'reads an external Redis with %s from files, and not from the environment',
    async (_, externalRedis, files) => {
      const object = await deployment({ externalRedis });
      for (const [variable, source] of Object.entries(files))
        expect(sourceOfFile(object, String(environment(object)[variable]))).toBe(source);
      expect(JSON.stringify(object)).not.toContain('secret@');
    },
  );

  test('passes the login and TLS of the Sentinels, the password as a file', async () => {
    const object = await deployment({
      externalRedis: {
        url: 'rediss+sentinel://s/m',
        existingSecret: 'mine',
        passwordKey: 'pw',
        sentinels: { username: 'watcher', passwordKey: 'sentinel-pw', tls: false },
      },
    });
    const variables = environment(object);
    expect(variables).toMatchObject({
      TRACKER_REDIS_SENTINEL_USERNAME: 'watcher',
      TRACKER_REDIS_SENTINEL_TLS: 'false',
    });
    for (const [name, source] of [
      ['TRACKER_REDIS_PASSWORD_FILE', 'mine/pw'],
      ['TRACKER_REDIS_SENTINEL_PASSWORD_FILE', 'mine/sentinel-pw'],
    ] as const)
      expect(sourceOfFile(object, String(variables[name]))).toBe(source);
    const without = environment(await deployment({ externalRedis: { url: 'redis+sentinel://s/m' } }));
    expect(Object.keys(without).filter((name) => name.includes('SENTINEL'))).toEqual([]);
  });

  test('gives a pod the preStop sleep, the drain deadline and ten seconds to stop', async () => {
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

  test('passes numbers, including large ones, and booleans in the format of the service', async () => {
    const config = { TRACKER_MAX_PEERS: 1_000_000, TRACKER_DROP_PRIVATE_ADDRS: true, LOG_LEVEL: 'debug' };
    expect(environment(await deployment({ config }))).toMatchObject({
      TRACKER_MAX_PEERS: '1000000',
      TRACKER_DROP_PRIVATE_ADDRS: 'true',
      LOG_LEVEL: 'debug',
    });
  });

  test('adds its own label selector to topology spread constraints', async () => {
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

  test('prefers the digest of the image to its tag', async () => {
    const digest = `sha256:${'0'.repeat(64)}`;
    const image = valueAt(
      podSpec(await deployment({ image: { tag: '9', digest } })),
      'containers',
      0,
      'image',
    );
    expect(image).toBe(`ghcr.io/rustory/rustory-p2p-tracker@${digest}`);
  });

  test('does not reduce the number of ready pods during a rolling update', async () => {
    expect(valueAt(await deployment(), 'spec', 'strategy', 'rollingUpdate', 'maxUnavailable')).toBe(0);
  });
});

describe('service.yaml', () => {
  test('exposes the API and not the ops port', async () => {
    const { all } = await render(TRACKER);
    expect(all('Service').map((service) => valueAt(service, 'spec', 'ports'))).toEqual([
      [{ name: 'http', port: 8850, targetPort: 'http' }],
    ]);
  });
});

describe('ingress.yaml', () => {
  test('routes all host names to the Service by default', async () => {
    const release = await render(TRACKER);
    const rules = valueAt(release.only('Ingress'), 'spec', 'rules') as unknown[];
    expect(rules).toHaveLength(1);
    expect(rules[0]).not.toHaveProperty('host');
    const backend = valueAt(rules[0], 'http', 'paths', 0, 'backend', 'service');
    const service = release.only('Service', String(valueAt(backend, 'name')));
    expect(valueAt(service, 'spec', 'ports')).toContainEqual(
      expect.objectContaining({ name: valueAt(backend, 'port', 'name') }),
    );
  });

  test('uses host, class, annotations and TLS of the values', async () => {
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

  test('does not exist when ingress.enabled is false', async () => {
    expect((await render(TRACKER, { ingress: { enabled: false } })).all('Ingress')).toEqual([]);
  });
});

describe('pdb.yaml', () => {
  test.each<[string, object, object | undefined]>([
    ['no budget for a single pod', {}, undefined],
    ['one unavailable pod of two', { ...REDIS, replicaCount: 2 }, { maxUnavailable: 1 }],
    [
      'no budget when pdb.enabled is false',
      { ...REDIS, replicaCount: 2, pdb: { enabled: false } },
      undefined,
    ],
    ['minAvailable', { ...REDIS, replicaCount: 3, pdb: { minAvailable: 2 } }, { minAvailable: 2 }],
    ['maxUnavailable 0', { ...REDIS, replicaCount: 3, pdb: { maxUnavailable: 0 } }, { maxUnavailable: 0 }],
    [
      'a percentage',
      { ...REDIS, replicaCount: 3, pdb: { maxUnavailable: '50%' } },
      { maxUnavailable: '50%' },
    ],
    [
      'no budget when the autoscaler may run a single pod, regardless of replicaCount',
      { ...REDIS, replicaCount: 3, autoscaling: { enabled: true, minReplicas: 1 } },
      undefined,
    ],
    [
      'a budget when the autoscaler runs at least two pods',
      { ...REDIS, autoscaling: { enabled: true, minReplicas: 2 } },
      { maxUnavailable: 1 },
    ],
  ])('has %s', async (_, values, expected) => {
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
  test('scales the Deployment by CPU and memory utilization', async () => {
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
