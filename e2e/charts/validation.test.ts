// Values that contradict each other, which templates/validate.yaml rejects.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { render, renderError, RELAY, TRACKER, UMBRELLA } from '../../testing/charts.ts';

const ROOT = join(import.meta.dirname, '../..');
const REDIS = { externalRedis: { url: 'redis://r' } };
const LOAD_BALANCER = { expose: 'LoadBalancer', announce: ['/dns4/relay-{ordinal}.example.org/tcp/4001'] };

const CONTRADICTIONS: ReadonlyArray<readonly [name: string, chart: string, values: object, message: string]> =
  [
    [
      'the Redis of the umbrella chart in the tracker chart alone',
      TRACKER,
      { bundledRedis: { enabled: true } },
      'bundledRedis.enabled requires the Redis of the chart rustory-p2p',
    ],
    [
      'several trackers without Redis',
      TRACKER,
      { replicaCount: 2 },
      'Set externalRedis.url or externalRedis.existingSecret, or set replicaCount to 1.',
    ],
    [
      'an autoscaler without Redis',
      TRACKER,
      { autoscaling: { enabled: true, minReplicas: 1 } },
      'autoscaling.enabled requires a Redis',
    ],
    [
      'two URLs of Redis',
      TRACKER,
      { externalRedis: { url: 'redis://r', existingSecret: 's' } },
      'externalRedis.url and externalRedis.existingSecret both contain a URL',
    ],
    [
      'a password key without a Secret',
      TRACKER,
      { externalRedis: { url: 'redis://r', passwordKey: 'k' } },
      'externalRedis.passwordKey is set without a Secret',
    ],
    [
      'a password key of the Sentinels without a Secret',
      TRACKER,
      { externalRedis: { url: 'redis+sentinel://s/m', sentinels: { passwordKey: 'k' } } },
      'externalRedis.sentinels.passwordKey is set without a Secret',
    ],
    [
      'a user of the Sentinels without a password',
      TRACKER,
      { externalRedis: { url: 'redis+sentinel://s/m', sentinels: { username: 'watcher' } } },
      'externalRedis.sentinels.username is set without a password',
    ],
    [
      'TLS of Sentinels without an external Redis',
      TRACKER,
      { externalRedis: { sentinels: { tls: false } } },
      'externalRedis.sentinels is set without an external Redis',
    ],
    [
      'a login of Sentinels for a Redis without them',
      TRACKER,
      { externalRedis: { url: 'redis://r', existingSecret: 's', sentinels: { passwordKey: 'k' } } },
      'externalRedis.url has no Sentinels',
    ],
    [
      'a certificate authority without an external Redis',
      TRACKER,
      { externalRedis: { caConfigMap: 'c' } },
      'externalRedis.caConfigMap is set without an external Redis',
    ],
    [
      'tokens as values and in a Secret',
      TRACKER,
      { auth: { tokens: ['a-token-for-the-tests'], existingSecret: 's' } },
      'auth.tokens and auth.existingSecret are both set',
    ],
    [
      'tokens without authentication',
      TRACKER,
      { auth: { enabled: false, existingSecret: 's' } },
      'auth.enabled is false, but tokens are set',
    ],
    ['TLS without a host name', TRACKER, { ingress: { tls: { enabled: true } } }, 'Set ingress.host.'],
    ['an issuer without a host name', TRACKER, { ingress: { tls: { issuer: 'le' } } }, 'Set ingress.host.'],
    [
      'an issuer of an Ingress that does not exist',
      TRACKER,
      { ingress: { enabled: false, tls: { issuer: 'le' } } },
      'ingress.tls.issuer has no effect when ingress.enabled is false. Set tls.issuer',
    ],
    [
      'two issuers',
      TRACKER,
      {
        ingress: {
          host: 'tracker.example.org',
          annotations: { 'cert-manager.io/issuer': 'a' },
          tls: { issuer: 'b' },
        },
      },
      'ingress.tls.issuer and ingress.annotations both name an issuer',
    ],
    [
      'TLS of the tracker behind an Ingress',
      TRACKER,
      { tls: { existingSecret: 's' } },
      'Set ingress.enabled to false, or use ingress.tls instead of tls.',
    ],
    [
      'a certificate in a Secret and from an issuer',
      TRACKER,
      { ingress: { enabled: false }, tls: { existingSecret: 's', issuer: 'le', hosts: ['a.example.org'] } },
      'tls.existingSecret and tls.issuer are both set',
    ],
    [
      'an issuer of the tracker without a host name',
      TRACKER,
      { ingress: { enabled: false }, tls: { issuer: 'le' } },
      'Set tls.hosts.',
    ],
    [
      'host names without a certificate',
      TRACKER,
      { tls: { hosts: ['a.example.org'] } },
      'tls.hosts has no effect without a certificate',
    ],
    [
      'a node port for a ClusterIP Service',
      TRACKER,
      { service: { nodePort: 30_001 } },
      'service.nodePort has no effect when service.type is ClusterIP',
    ],
    [
      'a maximum below the minimum of the autoscaler',
      TRACKER,
      { ...REDIS, autoscaling: { enabled: true, minReplicas: 9 } },
      'autoscaling.maxReplicas (6) is less than autoscaling.minReplicas (9)',
    ],
    [
      'an autoscaler without a target',
      TRACKER,
      { ...REDIS, autoscaling: { enabled: true, targetCPUUtilizationPercentage: 0 } },
      'autoscaling.enabled requires a target',
    ],
    [
      'an autoscaler without a resource request',
      TRACKER,
      { ...REDIS, autoscaling: { enabled: true }, resources: { requests: { cpu: null } } },
      'Set resources.requests.cpu.',
    ],
    [
      'two disruption budgets of the tracker',
      TRACKER,
      { pdb: { minAvailable: 1, maxUnavailable: 1 } },
      'pdb.minAvailable and pdb.maxUnavailable are both set',
    ],
    [
      'exposed relays without an announced address',
      RELAY,
      { p2p: { expose: 'LoadBalancer' } },
      'Set p2p.announce,',
    ],
    [
      'an unknown placeholder',
      RELAY,
      { p2p: { announce: ['/dns4/{pod}.example.org/tcp/1'] } },
      'p2p.announce contains the unknown placeholder {pod}',
    ],
    [
      'one address for two relays',
      RELAY,
      { replicaCount: 2, p2p: { announce: ['/dns4/relay.example.org/tcp/1'] } },
      'Add {ordinal} to it',
    ],
    [
      'fewer node ports than relays',
      RELAY,
      { replicaCount: 3, p2p: { ...LOAD_BALANCER, nodePorts: [30_001] } },
      'p2p.nodePorts has 1 items, but replicaCount is 3',
    ],
    [
      'more load balancer addresses than relays',
      RELAY,
      { p2p: { ...LOAD_BALANCER, loadBalancerIPs: ['192.0.2.1', '192.0.2.2'] } },
      'p2p.loadBalancerIPs has 2 items, but replicaCount is 1',
    ],
    [
      'fewer annotations than relays',
      RELAY,
      { replicaCount: 2, p2p: { ...LOAD_BALANCER, perRelayAnnotations: [{}] } },
      'p2p.perRelayAnnotations has 1 items, but replicaCount is 2',
    ],
    [
      'node ports without Services',
      RELAY,
      { p2p: { nodePorts: [30_001] } },
      'p2p.nodePorts has no effect when p2p.expose is ClusterIP',
    ],
    [
      'NodePort without node ports',
      RELAY,
      { p2p: { ...LOAD_BALANCER, expose: 'NodePort' } },
      'Set p2p.nodePorts',
    ],
    [
      'load balancer addresses with NodePort',
      RELAY,
      { p2p: { ...LOAD_BALANCER, expose: 'NodePort', nodePorts: [30_001], loadBalancerIPs: ['192.0.2.1'] } },
      'p2p.loadBalancerIPs requires a load balancer',
    ],
    [
      'external-dns without Services',
      RELAY,
      { p2p: { externalDNS: { enabled: true } } },
      'p2p.externalDNS.enabled has no effect when p2p.expose is ClusterIP',
    ],
    [
      'external-dns without a host name',
      RELAY,
      { p2p: { expose: 'LoadBalancer', announce: ['/ip4/192.0.2.1/tcp/1'], externalDNS: { enabled: true } } },
      'p2p.externalDNS.enabled requires a host name',
    ],
    [
      'a swarm key as a value and in a Secret',
      RELAY,
      { swarmKey: { value: 'a'.repeat(64), existingSecret: 's' } },
      'swarmKey.value and swarmKey.existingSecret are both set',
    ],
    ['an invalid swarm key', RELAY, { swarmKey: { value: 'secret' } }, 'swarmKey.value is not a swarm key'],
    [
      'a seed as a value and in a Secret',
      RELAY,
      { identity: { seed: 'a'.repeat(32), existingSecret: 's' } },
      'identity.seed and identity.existingSecret are both set',
    ],
    [
      'two disruption budgets of the relay',
      RELAY,
      { pdb: { minAvailable: 1, maxUnavailable: 1 } },
      'pdb.minAvailable and pdb.maxUnavailable are both set',
    ],
    [
      'a disruption budget of all pods of TRACKER',
      TRACKER,
      { ...REDIS, replicaCount: 2, pdb: { minAvailable: 2 } },
      'pdb.minAvailable (2) is all of the 2 pods',
    ],
    [
      'a disruption budget of 100 % of TRACKER',
      TRACKER,
      { ...REDIS, replicaCount: 2, pdb: { minAvailable: '100%' } },
      'pdb.minAvailable (100%) is all of the 2 pods',
    ],
    [
      'a label of the selector of TRACKER',
      TRACKER,
      { podLabels: { 'app.kubernetes.io/name': 'other' } },
      'podLabels contains app.kubernetes.io/name',
    ],
    [
      'a disruption budget of all pods of RELAY',
      RELAY,
      { replicaCount: 2, pdb: { minAvailable: 2 } },
      'pdb.minAvailable (2) is all of the 2 pods',
    ],
    [
      'a disruption budget of 100 % of RELAY',
      RELAY,
      { replicaCount: 2, pdb: { minAvailable: '100%' } },
      'pdb.minAvailable (100%) is all of the 2 pods',
    ],
    [
      'a label of the selector of RELAY',
      RELAY,
      { podLabels: { 'app.kubernetes.io/name': 'other' } },
      'podLabels contains app.kubernetes.io/name',
    ],
    [
      'a port that the Service does not have',
      RELAY,
      { p2p: { expose: 'LoadBalancer', announce: ['/dns4/relay.example.org/tcp/4002'] } },
      'p2p.announce has no address with the port 4001',
    ],
    [
      'a node port that the Service does not have',
      RELAY,
      { p2p: { expose: 'NodePort', nodePorts: [30_401], announce: ['/ip4/{hostIP}/tcp/30402'] } },
      'p2p.announce has no address with the port 30401',
    ],
    [
      'two subcharts of one name',
      UMBRELLA,
      { tracker: { fullnameOverride: 'same' }, relay: { fullnameOverride: 'same' } },
      'tracker and relay both have an object with the name same',
    ],
    [
      'a name of one subchart that is derived in the other',
      UMBRELLA,
      { tracker: { fullnameOverride: 'same-0' }, relay: { fullnameOverride: 'same' } },
      'tracker and relay both have an object with the name same-0',
    ],
    [
      'the name of the Redis',
      UMBRELLA,
      { relay: { fullnameOverride: 'rustory-redis' } },
      'Redis and relay both have an object with the name rustory-redis',
    ],
    [
      'the name of the Redis without relays',
      UMBRELLA,
      { tracker: { fullnameOverride: 'rustory-redis' }, relay: { enabled: false } },
      'tracker.fullnameOverride is the name of the Redis',
    ],
    [
      'two ServiceAccounts of one name',
      UMBRELLA,
      { tracker: { serviceAccount: { name: 'same' } }, relay: { serviceAccount: { name: 'same' } } },
      'tracker.serviceAccount.name and relay.serviceAccount.name are the same',
    ],
    [
      'a disruption budget of TRACKER that is rounded up to all pods',
      TRACKER,
      { ...REDIS, replicaCount: 2, pdb: { minAvailable: '51%' } },
      'pdb.minAvailable (51%) is all of the 2 pods',
    ],
    [
      'a disruption budget of TRACKER of three pods that is rounded up to all',
      TRACKER,
      { ...REDIS, replicaCount: 3, pdb: { minAvailable: '67%' } },
      'pdb.minAvailable (67%) is all of the 3 pods',
    ],
    [
      'a disruption budget of TRACKER with no unavailable pod',
      TRACKER,
      { ...REDIS, replicaCount: 2, pdb: { maxUnavailable: 0 } },
      'pdb.maxUnavailable (0) allows no pod to be unavailable',
    ],
    [
      'a disruption budget of TRACKER with 0 % unavailable pods',
      TRACKER,
      { ...REDIS, replicaCount: 2, pdb: { maxUnavailable: '0%' } },
      'pdb.maxUnavailable (0%) allows no pod to be unavailable',
    ],
    [
      'a disruption budget of RELAY that is rounded up to all pods',
      RELAY,
      { replicaCount: 2, pdb: { minAvailable: '51%' } },
      'pdb.minAvailable (51%) is all of the 2 pods',
    ],
    [
      'a disruption budget of RELAY of three pods that is rounded up to all',
      RELAY,
      { replicaCount: 3, pdb: { minAvailable: '67%' } },
      'pdb.minAvailable (67%) is all of the 3 pods',
    ],
    [
      'a disruption budget of RELAY with no unavailable pod',
      RELAY,
      { replicaCount: 2, pdb: { maxUnavailable: 0 } },
      'pdb.maxUnavailable (0) allows no pod to be unavailable',
    ],
    [
      'a disruption budget of RELAY with 0 % unavailable pods',
      RELAY,
      { replicaCount: 2, pdb: { maxUnavailable: '0%' } },
      'pdb.maxUnavailable (0%) allows no pod to be unavailable',
    ],
    [
      'a Redis with 225mb of the default limit',
      UMBRELLA,
      { redis: { maxMemory: '225mb' } },
      'redis.maxMemory (225mb) is more than 90 % of redis.resources.limits.memory (224Mi)',
    ],
    [
      'a Redis with 224mb of the default limit',
      UMBRELLA,
      { redis: { maxMemory: '224mb' } },
      'redis.maxMemory (224mb) is more than 90 %',
    ],
    [
      'a Redis with 0 of the default limit',
      UMBRELLA,
      { redis: { maxMemory: '0' } },
      'redis.maxMemory (0, which is no limit) is more than 90 %',
    ],
    [
      'a Redis with 1gb of 1G',
      UMBRELLA,
      { redis: { maxMemory: '1gb', resources: { limits: { memory: '1G' } } } },
      'redis.maxMemory (1gb) is more than 90 % of redis.resources.limits.memory (1G)',
    ],
    [
      'a Redis with 600000000 of 0.5Gi',
      UMBRELLA,
      { redis: { maxMemory: '600000000', resources: { limits: { memory: '0.5Gi' } } } },
      'redis.maxMemory (600000000) is more than 90 %',
    ],
    [
      'a Redis with 144mb of 150000000',
      UMBRELLA,
      { redis: { maxMemory: '144mb', resources: { limits: { memory: 150000000 } } } },
      'redis.maxMemory (144mb) is more than 90 %',
    ],
    [
      'a Redis with 144 of the default limit',
      UMBRELLA,
      { redis: { maxMemory: '144' } },
      'redis.maxMemory (144) is less than the 8 MiB',
    ],
    [
      'two families of addresses in a Service of TRACKER with one',
      TRACKER,
      { service: { ipFamilyPolicy: 'SingleStack', ipFamilies: ['IPv6', 'IPv4'] } },
      'service.ipFamilies has two families, but service.ipFamilyPolicy is SingleStack',
    ],
    [
      'two families of addresses in a Service of RELAY with one',
      RELAY,
      { p2p: { ipFamilyPolicy: 'SingleStack', ipFamilies: ['IPv6', 'IPv4'] } },
      'p2p.ipFamilies has two families, but p2p.ipFamilyPolicy is SingleStack',
    ],
    [
      'nothing to install',
      UMBRELLA,
      { tracker: { enabled: false }, relay: { enabled: false } },
      'tracker.enabled and relay.enabled are both false',
    ],
    [
      'a password as a value and in a Secret',
      TRACKER,
      { bundledRedis: { password: 'p', existingSecret: 's' } },
      'bundledRedis.password and bundledRedis.existingSecret are both set',
    ],
  ];

describe('validate.yaml rejects', () => {
  test.each(CONTRADICTIONS)('%s', async (_, chart, values, message) => {
    expect(await renderError(chart, values as never)).toContain(message);
  });

  test.each([
    [
      'the memory of Redis without a limit',
      UMBRELLA,
      { redis: { maxMemory: '1gb', resources: { limits: { memory: null } } } },
    ],
    [
      'a Redis at 90 % of its limit',
      UMBRELLA,
      { redis: { maxMemory: '900mb', resources: { limits: { memory: '1000Mi' } } } },
    ],
    ['values of a Redis that is not installed', UMBRELLA, { redis: { maxMemory: '9gb' }, tracker: REDIS }],
    [
      'a budget of half of the trackers',
      TRACKER,
      { ...REDIS, replicaCount: 2, pdb: { minAvailable: '50%' } },
    ],
    [
      'a budget of 1 %, which is rounded up to a pod',
      RELAY,
      { replicaCount: 2, pdb: { maxUnavailable: '1%' } },
    ],
    ['a budget that is not created', RELAY, { replicaCount: 1, pdb: { maxUnavailable: 0 } }],
    ['a budget that is turned off', RELAY, { replicaCount: 2, pdb: { enabled: false, maxUnavailable: 0 } }],
  ] as const)('not %s', async (_, chart, values) => {
    expect((await render(chart, values)).objects.length).toBeGreaterThan(0);
  });

  test('nothing without a case in this file', () => {
    for (const chart of [UMBRELLA, TRACKER, RELAY]) {
      const text = readFileSync(join(ROOT, chart, 'templates/validate.yaml'), 'utf8');
      const problems = text.match(/append \$problems|fail "/g) ?? [];
      const cases = CONTRADICTIONS.filter(([, of]) => of === chart);
      expect([chart, cases.length >= problems.length]).toEqual([chart, true]);
    }
  });

  test('all problems at once, with the names of the values in the umbrella', async () => {
    const error = await renderError(UMBRELLA, {
      relay: { replicaCount: 2, p2p: { expose: 'NodePort', announce: ['/dns4/relay.example.org/tcp/1'] } },
    });
    expect(error).toContain('relay.p2p.announce contains /dns4/relay.example.org/tcp/1');
    expect(error).toContain('Set relay.p2p.nodePorts, one port for each relay.');
  });
});
