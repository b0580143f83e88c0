// Invalid values: unknown ones and wrong types (values.schema.json), and values that contradict each other
// (templates/validate.yaml).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { renderError, RELAY, TRACKER, UMBRELLA } from '../../testing/charts.ts';

const ROOT = join(import.meta.dirname, '../..');
const REDIS = { externalRedis: { url: 'redis://r' } };
const LOAD_BALANCER = { expose: 'LoadBalancer', announce: ['/dns4/relay-{ordinal}.example.org/tcp/4001'] };

describe('values.schema.json rejects', () => {
  test.each<[string, string, object, string]>([
    ['an unknown value', UMBRELLA, { redsi: {} }, "'redsi' not allowed"],
    [
      'an unknown value of a subchart',
      UMBRELLA,
      { tracker: { replicaCont: 3 } },
      "'replicaCont' not allowed",
    ],
    ['an unknown nested value', RELAY, { p2p: { externalDNS: { enabeld: true } } }, "'enabeld' not allowed"],
    ['an unknown value of an image', TRACKER, { image: { name: 'x' } }, "'name' not allowed"],
    [
      'an unknown variable of the service',
      TRACKER,
      { config: { TRACKER_TTL: 1 } },
      "'TRACKER_TTL' not allowed",
    ],
    [
      'a variable that the chart sets itself',
      RELAY,
      { config: { RELAY_ANNOUNCE: 'x' } },
      "'RELAY_ANNOUNCE' not allowed",
    ],
    [
      'a port that the probes do not use',
      TRACKER,
      { config: { TRACKER_LISTEN: '[::]:80' } },
      "'/config/TRACKER_LISTEN'",
    ],
    ['a number for a string', TRACKER, { ingress: { host: 5 } }, "'/ingress/host': got number"],
    ['a negative number', RELAY, { replicaCount: -1 }, "'/replicaCount'"],
    ['an unknown way to expose relays', RELAY, { p2p: { expose: 'HostPort' } }, "'/p2p/expose'"],
    ['an invalid multiaddr', RELAY, { p2p: { announce: ['relay.example.org:4001'] } }, "'/p2p/announce/0'"],
    ['a duplicate node port', RELAY, { p2p: { nodePorts: [30_001, 30_001] } }, "'/p2p/nodePorts'"],
    [
      'a URL of a different protocol',
      TRACKER,
      { externalRedis: { url: 'http://r' } },
      "'/externalRedis/url'",
    ],
    ['a short token', TRACKER, { auth: { tokens: ['short'] } }, "'/auth/tokens/0'"],
    ['a short seed', RELAY, { identity: { seed: 'short' } }, "'/identity/seed'"],
    [
      'a label selector in a topology spread constraint',
      TRACKER,
      { topologySpread: { zone: { maxSkew: 1, labelSelector: {} } } },
      'labelSelector',
    ],
    [
      'an unknown field of a security context',
      RELAY,
      { securityContext: { readOnlyRootFileSystem: true } },
      "'readOnlyRootFileSystem' not allowed",
    ],
    [
      'an invalid peer of a NetworkPolicy',
      TRACKER,
      { networkPolicy: { opsFrom: [{ namespace: 'monitoring' }] } },
      "'namespace' not allowed",
    ],
    ['an invalid quantity', UMBRELLA, { redis: { resources: { limits: { memory: '1 GB' } } } }, 'memory'],
  ])('%s', async (_, chart, values, message) => {
    expect(await renderError(chart, values as never)).toContain(message);
  });

  test('unknown keys in every object that the chart reads', () => {
    for (const chart of [UMBRELLA, TRACKER, RELAY]) {
      const schema: unknown = JSON.parse(readFileSync(join(ROOT, chart, 'values.schema.json'), 'utf8'));
      expect(openObjects(schema, '')).toEqual(
        chart === UMBRELLA ? ['global', 'relay', 'tracker'] : ['global'],
      );
    }
  });
});

/** Paths of objects with declared properties that also allow others. Objects for Kubernetes are not included. */
function openObjects(schema: unknown, path: string): string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  const { properties, additionalProperties, $defs } = schema as Record<string, Record<string, unknown>>;
  const isOpen = properties !== undefined && (additionalProperties as unknown) !== false;
  const inner = { ...properties, ...$defs };
  const isSubchart = path === 'tracker' || path === 'relay';
  return [
    ...(isOpen || (isSubchart && properties === undefined) ? [path] : []),
    ...Object.entries(inner).flatMap(([key, value]) =>
      openObjects(value, path === '' ? key : `${path}.${key}`),
    ),
  ].toSorted();
}

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
