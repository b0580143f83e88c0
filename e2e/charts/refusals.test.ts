// What the charts refuse: values that do not exist or have a wrong form (values.schema.json), and values that
// contradict each other (templates/validate.yaml).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { renderError, RELAY, TRACKER, UMBRELLA } from '../../testing/charts.ts';

const ROOT = join(import.meta.dirname, '../..');
const REDIS = { externalRedis: { url: 'redis://r' } };
const LOAD_BALANCER = { expose: 'LoadBalancer', announce: ['/dns4/relay-{ordinal}.example.org/tcp/4001'] };

describe('values.schema.json refuses', () => {
  test.each<[string, string, object, string]>([
    ['a typing error', UMBRELLA, { redsi: {} }, "'redsi' not allowed"],
    ['one in a subchart', UMBRELLA, { tracker: { replicaCont: 3 } }, "'replicaCont' not allowed"],
    ['one deep down', RELAY, { p2p: { externalDNS: { enabeld: true } } }, "'enabeld' not allowed"],
    ['one in an image', TRACKER, { image: { name: 'x' } }, "'name' not allowed"],
    [
      'a variable that the service does not read',
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
      'a port without a probe',
      TRACKER,
      { config: { TRACKER_LISTEN: '[::]:80' } },
      "'/config/TRACKER_LISTEN'",
    ],
    ['a number where text belongs', TRACKER, { ingress: { host: 5 } }, "'/ingress/host': got number"],
    ['a negative number', RELAY, { replicaCount: -1 }, "'/replicaCount'"],
    ['another way to expose', RELAY, { p2p: { expose: 'HostPort' } }, "'/p2p/expose'"],
    [
      'an address that is none',
      RELAY,
      { p2p: { announce: ['relay.example.org:4001'] } },
      "'/p2p/announce/0'",
    ],
    ['one node port twice', RELAY, { p2p: { nodePorts: [30_001, 30_001] } }, "'/p2p/nodePorts'"],
    ['a Redis that is none', TRACKER, { externalRedis: { url: 'http://r' } }, "'/externalRedis/url'"],
    ['a token that can be guessed', TRACKER, { auth: { tokens: ['short'] } }, "'/auth/tokens/0'"],
    ['a seed that can be guessed', RELAY, { identity: { seed: 'short' } }, "'/identity/seed'"],
    [
      'a wrong topology',
      TRACKER,
      { topologySpread: { zone: { maxSkew: 1, labelSelector: {} } } },
      'labelSelector',
    ],
    [
      'a typing error in what goes to Kubernetes',
      RELAY,
      { securityContext: { readOnlyRootFileSystem: true } },
      "'readOnlyRootFileSystem' not allowed",
    ],
    [
      'a peer of a policy that is none',
      TRACKER,
      { networkPolicy: { opsFrom: [{ namespace: 'monitoring' }] } },
      "'namespace' not allowed",
    ],
    ['a quantity that is none', UMBRELLA, { redis: { resources: { limits: { memory: '1 GB' } } } }, 'memory'],
  ])('%s', async (_, chart, values, complaint) => {
    expect(await renderError(chart, values as never)).toContain(complaint);
  });

  test('keys of every object that the chart itself reads', () => {
    for (const chart of [UMBRELLA, TRACKER, RELAY]) {
      const schema: unknown = JSON.parse(readFileSync(join(ROOT, chart, 'values.schema.json'), 'utf8'));
      expect(openObjects(schema, '')).toEqual(
        chart === UMBRELLA ? ['global', 'relay', 'tracker'] : ['global'],
      );
    }
  });
});

/** Paths of objects with properties of their own that take others too, besides what is passed on to Kubernetes. */
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

const REFUSED: ReadonlyArray<readonly [sentence: string, chart: string, values: object, complaint: string]> =
  [
    [
      'the Redis of another chart',
      TRACKER,
      { bundledRedis: { enabled: true } },
      'bundledRedis.enabled means the Redis of the chart rustory-p2p',
    ],
    [
      'trackers that would each remember other devices',
      TRACKER,
      { replicaCount: 2 },
      'set externalRedis.url or externalRedis.existingSecret, or replicaCount=1',
    ],
    [
      'an autoscaler without a Redis',
      TRACKER,
      { autoscaling: { enabled: true, minReplicas: 1 } },
      'autoscaling.enabled needs a Redis',
    ],
    [
      'two URLs',
      TRACKER,
      { externalRedis: { url: 'redis://r', existingSecret: 's' } },
      'externalRedis.url and externalRedis.existingSecret both name a URL',
    ],
    [
      'a key of no Secret',
      TRACKER,
      { externalRedis: { url: 'redis://r', passwordKey: 'k' } },
      'externalRedis.passwordKey is a key of a Secret',
    ],
    [
      'an authority for no Redis',
      TRACKER,
      { externalRedis: { caConfigMap: 'c' } },
      'externalRedis.caConfigMap is for an external Redis',
    ],
    [
      'tokens twice',
      TRACKER,
      { auth: { tokens: ['a-token-for-the-tests'], existingSecret: 's' } },
      'auth.tokens and auth.existingSecret exclude each other',
    ],
    [
      'tokens for nobody',
      TRACKER,
      { auth: { enabled: false, existingSecret: 's' } },
      'auth.enabled is false',
    ],
    ['TLS for no name', TRACKER, { ingress: { tls: { enabled: true } } }, 'set ingress.host'],
    [
      'a node port of a ClusterIP',
      TRACKER,
      { service: { nodePort: 30_001 } },
      'service.nodePort needs service.type',
    ],
    [
      'fewer pods at most than at least',
      TRACKER,
      { ...REDIS, autoscaling: { enabled: true, minReplicas: 9 } },
      'autoscaling.maxReplicas (6) must not be less than autoscaling.minReplicas (9)',
    ],
    [
      'an autoscaler with nothing to go by',
      TRACKER,
      { ...REDIS, autoscaling: { enabled: true, targetCPUUtilizationPercentage: 0 } },
      'autoscaling has nothing to go by',
    ],
    [
      'an autoscaler that measures by no request',
      TRACKER,
      { ...REDIS, autoscaling: { enabled: true }, resources: { requests: { cpu: null } } },
      'set resources.requests.cpu',
    ],
    [
      'two budgets',
      TRACKER,
      { pdb: { minAvailable: 1, maxUnavailable: 1 } },
      'pdb.minAvailable and pdb.maxUnavailable exclude',
    ],
    ['exposed relays without an address', RELAY, { p2p: { expose: 'LoadBalancer' } }, 'set p2p.announce'],
    [
      'a placeholder nobody knows',
      RELAY,
      { p2p: { announce: ['/dns4/{pod}.example.org/tcp/1'] } },
      'p2p.announce names {pod}',
    ],
    [
      'one address for two relays',
      RELAY,
      { replicaCount: 2, p2p: { announce: ['/dns4/relay.example.org/tcp/1'] } },
      'put {ordinal} into it',
    ],
    [
      'fewer node ports than relays',
      RELAY,
      { replicaCount: 3, p2p: { ...LOAD_BALANCER, nodePorts: [30_001] } },
      'p2p.nodePorts has 1 items for 3 relays',
    ],
    [
      'more addresses than relays',
      RELAY,
      { p2p: { ...LOAD_BALANCER, loadBalancerIPs: ['192.0.2.1', '192.0.2.2'] } },
      'p2p.loadBalancerIPs has 2 items for 1 relays',
    ],
    [
      'annotations for other relays',
      RELAY,
      { replicaCount: 2, p2p: { ...LOAD_BALANCER, perRelayAnnotations: [{}] } },
      'p2p.perRelayAnnotations has 1 items for 2 relays',
    ],
    ['node ports of no Service', RELAY, { p2p: { nodePorts: [30_001] } }, 'p2p.nodePorts is for Services'],
    [
      'node ports that nobody could announce',
      RELAY,
      { p2p: { ...LOAD_BALANCER, expose: 'NodePort' } },
      'set p2p.nodePorts',
    ],
    [
      'addresses of no load balancer',
      RELAY,
      { p2p: { ...LOAD_BALANCER, expose: 'NodePort', nodePorts: [30_001], loadBalancerIPs: ['192.0.2.1'] } },
      'p2p.loadBalancerIPs needs p2p.expose=LoadBalancer',
    ],
    [
      'names of no Service',
      RELAY,
      { p2p: { externalDNS: { enabled: true } } },
      'p2p.externalDNS.enabled annotates Services',
    ],
    [
      'external-dns without a name',
      RELAY,
      { p2p: { expose: 'LoadBalancer', announce: ['/ip4/192.0.2.1/tcp/1'], externalDNS: { enabled: true } } },
      'p2p.externalDNS.enabled needs a name',
    ],
    [
      'two swarm keys',
      RELAY,
      { swarmKey: { value: 'a'.repeat(64), existingSecret: 's' } },
      'swarmKey.value and swarmKey.existingSecret exclude',
    ],
    [
      'a swarm key that is none',
      RELAY,
      { swarmKey: { value: 'secret' } },
      'swarmKey.value is neither the text of a swarm.key nor its 64 hex digits',
    ],
    [
      'two seeds',
      RELAY,
      { identity: { seed: 'a'.repeat(32), existingSecret: 's' } },
      'identity.seed and identity.existingSecret exclude',
    ],
    [
      'two budgets of relays',
      RELAY,
      { pdb: { minAvailable: 1, maxUnavailable: 1 } },
      'pdb.minAvailable and pdb.maxUnavailable exclude',
    ],
    [
      'nothing at all',
      UMBRELLA,
      { tracker: { enabled: false }, relay: { enabled: false } },
      'tracker.enabled and relay.enabled are both false',
    ],
    [
      'two passwords of the Redis',
      TRACKER,
      { bundledRedis: { password: 'p', existingSecret: 's' } },
      'bundledRedis.password and bundledRedis.existingSecret exclude',
    ],
  ];

describe('validate.yaml refuses', () => {
  test.each(REFUSED)('%s', async (_, chart, values, complaint) => {
    expect(await renderError(chart, values as never)).toContain(complaint);
  });

  test('and each of its sentences is shown by a case', () => {
    for (const chart of [UMBRELLA, TRACKER, RELAY]) {
      const text = readFileSync(join(ROOT, chart, 'templates/validate.yaml'), 'utf8');
      const sentences = text.match(/append \$problems|complain" \(list/g) ?? [];
      const cases = REFUSED.filter(([, of]) => of === chart);
      // Lists share one sentence: three cases stand for one line.
      expect([chart, cases.length >= sentences.length]).toEqual([chart, true]);
    }
  });

  test('all at once, named as the umbrella calls them', async () => {
    const complaint = await renderError(UMBRELLA, {
      relay: { replicaCount: 2, p2p: { expose: 'NodePort', announce: ['/dns4/relay.example.org/tcp/1'] } },
    });
    expect(complaint).toContain('relay.p2p.announce has /dns4/relay.example.org/tcp/1 for all 2 relays');
    expect(complaint).toContain('set relay.p2p.nodePorts, one for each relay');
  });
});
