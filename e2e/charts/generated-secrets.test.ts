// The Secrets that the charts generate, with a cluster: who creates them, what keeps them, and what restarts pods.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  helm,
  type KubernetesObject,
  parseObjects,
  RELAY,
  TRACKER,
  UMBRELLA,
  valueAt,
  type Values,
} from '../../testing/charts.ts';
import { type FakeCluster, startFakeCluster } from '../../testing/kubernetes-api.ts';

const GENERATED = [
  'rustory-redis',
  'rustory-relay-identity',
  'rustory-relay-swarm-key',
  'rustory-tracker-tokens',
];
const KEYS: Readonly<Record<string, string>> = {
  'rustory-redis': 'password',
  'rustory-relay-identity': 'seed',
  'rustory-relay-swarm-key': 'swarm.key',
  'rustory-tracker-tokens': 'token',
};

let cluster: FakeCluster;
beforeEach(async () => {
  cluster = await startFakeCluster();
});
afterEach(async () => cluster.close());

async function attempt(values: Values, chart: string) {
  const options = ['--dry-run=server', '--disable-openapi-validation'];
  const args = ['template', 'rustory', chart, '--namespace=p2p', ...options, '--values=-'];
  return helm(args, values, cluster.kubeconfig);
}

/** Renders the chart with the objects of the cluster. */
async function plan(values: Values = {}, chart = UMBRELLA): Promise<KubernetesObject[]> {
  const { code, stdout, stderr } = await attempt(values, chart);
  if (code !== 0) throw new Error(stderr);
  return parseObjects(stdout);
}

/** Renders the chart and stores its Secrets in the cluster, like an install or an upgrade. */
async function deploy(values: Values = {}, chart = UMBRELLA): Promise<KubernetesObject[]> {
  const objects = await plan(values, chart);
  for (const object of objects.filter(({ kind }) => kind === 'Secret')) cluster.store(object);
  return objects;
}

function secretsOf(objects: readonly KubernetesObject[]): KubernetesObject[] {
  return objects.filter(({ kind }) => kind === 'Secret');
}

const isHook = ({ metadata }: KubernetesObject): boolean =>
  metadata.annotations?.['helm.sh/hook'] !== undefined;

/** The pod templates by name: when one of them changes, Kubernetes replaces the pods. */
function podTemplates(objects: readonly KubernetesObject[]): Record<string, unknown> {
  const workloads = objects.filter((object) => valueAt(object, 'spec', 'template') !== undefined);
  return Object.fromEntries(
    workloads.map((object) => [object.metadata.name, valueAt(object, 'spec', 'template')]),
  );
}

/** The names of the workloads whose pods are replaced between two renders. */
function restarted(before: readonly KubernetesObject[], after: readonly KubernetesObject[]): string[] {
  const [old, current] = [podTemplates(before), podTemplates(after)];
  return Object.keys(current)
    .filter((name) => JSON.stringify(old[name]) !== JSON.stringify(current[name]))
    .toSorted();
}

function contentOf(name: string): string {
  const data = valueAt(cluster.get('Secret', name), 'data', KEYS[name] ?? '');
  return Buffer.from(String(data), 'base64').toString('utf8');
}

/** A Secret with another content, as a user makes it. */
function replace(name: string, content: string): void {
  const data = { [KEYS[name] ?? '']: Buffer.from(content).toString('base64') };
  cluster.store({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'p2p' }, data });
}

function storeData(name: string, content: Readonly<Record<string, string>>): void {
  const data = Object.entries(content).map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
  const metadata = { name, namespace: 'p2p' };
  cluster.store({ apiVersion: 'v1', kind: 'Secret', metadata, data: Object.fromEntries(data) as object });
}

test('a generated Secret is a hook and no object of the release, and no policy deletes an existing one', async () => {
  const secrets = secretsOf(await plan());
  expect(secrets.map(({ metadata }) => metadata.name).toSorted()).toEqual(GENERATED);
  for (const { metadata } of secrets) {
    expect(metadata.annotations).toMatchObject({
      'helm.sh/hook': 'pre-install,pre-upgrade',
      'helm.sh/hook-delete-policy': 'hook-failed',
      'helm.sh/resource-policy': 'keep',
    });
    expect(metadata.annotations?.['helm.sh/hook']).not.toMatch(/rollback|delete/);
  }
});

test('an upgrade that changes nothing creates no Secret and restarts nothing', async () => {
  const installed = await deploy();
  for (const _ of ['first', 'second']) {
    const upgraded = await deploy();
    expect(secretsOf(upgraded)).toEqual([]);
    expect(restarted(installed, upgraded)).toEqual([]);
  }
});

test('the same password is generated for Redis and for the checksums of both its users', async () => {
  const installed = await deploy();
  const given = await plan({ tracker: { bundledRedis: { password: contentOf('rustory-redis') } } });
  expect(restarted(installed, given)).toEqual([]);
});

describe('a Secret that is deleted and generated again', () => {
  test.each([
    ['rustory-relay-swarm-key', ['rustory-relay']],
    ['rustory-relay-identity', ['rustory-relay']],
    ['rustory-redis', ['rustory-redis', 'rustory-tracker']],
    // Trackers reload tokens without a restart.
    ['rustory-tracker-tokens', []],
  ])('%s restarts %j', async (name, expected) => {
    const installed = await deploy();
    const before = contentOf(name);
    cluster.remove('Secret', name);
    const upgraded = await deploy();
    expect(secretsOf(upgraded).map(({ metadata }) => metadata.name)).toEqual([name]);
    expect(contentOf(name)).not.toBe(before);
    expect(restarted(installed, upgraded)).toEqual(expected);
  });
});

describe('the same content as a value restarts nothing', () => {
  test.each<[string, (content: string) => Values]>([
    ['rustory-relay-swarm-key', (value) => ({ relay: { swarmKey: { value } } })],
    ['rustory-relay-swarm-key', (text) => ({ relay: { swarmKey: { value: text.trim() } } })],
    [
      'rustory-relay-swarm-key',
      (text) => ({ relay: { swarmKey: { value: (text.trim().split('\n')[2] ?? '').toUpperCase() } } }),
    ],
    ['rustory-relay-identity', (seed) => ({ relay: { identity: { seed } } })],
    ['rustory-redis', (password) => ({ tracker: { bundledRedis: { password } } })],
  ])('%s', async (name, values) => {
    const installed = await deploy();
    const given = await deploy(values(contentOf(name)));
    const [secret] = secretsOf(given);
    expect(secret?.metadata.name).toBe(name);
    expect(secret === undefined || isHook(secret)).toBe(false);
    expect(restarted(installed, given)).toEqual([]);
    // And back: the Secret stays, because Helm keeps it.
    const back = await deploy();
    expect(secretsOf(back)).toEqual([]);
    expect(restarted(installed, back)).toEqual([]);
  });
});

function store(name: string, key: string, content: string): void {
  const data = { [key]: Buffer.from(content).toString('base64') };
  cluster.store({ apiVersion: 'v1', kind: 'Secret', metadata: { name }, data });
}

function authority(content: string): void {
  const data = { 'ca.crt': content };
  cluster.store({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'ca' }, data });
}

describe('a Secret that the operator manages', () => {
  const values = {
    tracker: { auth: { existingSecret: 'tokens' }, bundledRedis: { existingSecret: 'redis' } },
    relay: {
      swarmKey: { existingSecret: 'network-key', existingSecretKey: 'key' },
      identity: { existingSecret: 'identity' },
    },
  };

  test('restarts its users at the next upgrade when its content changes, and is never created', async () => {
    store('redis', 'password', 'one');
    store('network-key', 'key', '/key/swarm/psk/1.0.0/\n/base16/\nab\n');
    const installed = await deploy(values);
    expect(secretsOf(installed)).toEqual([]);
    expect(restarted(installed, await deploy(values))).toEqual([]);
    store('redis', 'password', 'two');
    expect(restarted(installed, await deploy(values))).toEqual(['rustory-redis', 'rustory-tracker']);
    store('redis', 'password', 'one');
    store('network-key', 'key', '/key/swarm/psk/1.0.0/\n/base16/\ncd\n');
    expect(restarted(installed, await deploy(values))).toEqual(['rustory-relay']);
  });

  test('of an external Redis and its certificate authority restart the trackers', async () => {
    const external = {
      replicaCount: 2,
      externalRedis: { existingSecret: 'url', caConfigMap: 'ca' },
    };
    store('url', 'url', 'rediss://one');
    authority('one');
    const installed = await deploy(external, TRACKER);
    expect(restarted(installed, await deploy(external, TRACKER))).toEqual([]);
    store('url', 'url', 'rediss://two');
    expect(restarted(installed, await deploy(external, TRACKER))).toEqual(['rustory-tracker']);
    store('url', 'url', 'rediss://one');
    authority('two');
    expect(restarted(installed, await deploy(external, TRACKER))).toEqual(['rustory-tracker']);
  });
});

test('the password of the Sentinels restarts the trackers, and a key that nothing uses does not', async () => {
  const values = {
    auth: { enabled: false },
    externalRedis: {
      existingSecret: 'redis',
      passwordKey: 'password',
      sentinels: { passwordKey: 'sentinels' },
    },
  };
  const content = { url: 'redis+sentinel://s/master', password: 'p', sentinels: 'q' };
  storeData('redis', content);
  const installed = await deploy(values, TRACKER);
  storeData('redis', { ...content, other: 'x', sentinels: 'q\n' });
  expect(restarted(installed, await deploy(values, TRACKER))).toEqual([]);
  for (const change of [{ sentinels: 'r' }, { password: 'r' }, { url: 'redis+sentinel://s/other' }]) {
    storeData('redis', { ...content, ...change });
    expect([change, restarted(installed, await deploy(values, TRACKER))]).toEqual([
      change,
      ['rustory-tracker'],
    ]);
  }
});

test.each([
  ['the number in the cluster', 5, 5],
  ['its minimum when fewer run', 1, 2],
  ['its maximum when more run', 9, 6],
  ['its minimum when the Deployment is new', undefined, 2],
])('an autoscaler keeps %s', async (_, live, expected) => {
  const values = { auth: { enabled: false }, externalRedis: { url: 'redis://r' } };
  const deploymentOf = async (more: Values): Promise<KubernetesObject | undefined> =>
    (await plan({ ...values, ...more }, TRACKER)).find(({ kind }) => kind === 'Deployment');
  const before = await deploymentOf({ replicaCount: live ?? 1 });
  if (before !== undefined && live !== undefined) {
    // As Helm marks the objects of its releases.
    const annotations = { 'meta.helm.sh/release-name': 'rustory', 'meta.helm.sh/release-namespace': 'p2p' };
    cluster.store({ ...before, metadata: { ...before.metadata, annotations } });
  }
  const deployment = await deploymentOf({ autoscaling: { enabled: true } });
  expect(valueAt(deployment, 'spec', 'replicas')).toBe(expected);
});

test('the first upgrade from a release with Secrets in its manifest keeps them', async () => {
  const owned = { 'meta.helm.sh/release-name': 'rustory', 'meta.helm.sh/release-namespace': 'p2p' };
  for (const name of GENERATED) {
    // The released chart kept all Secrets but that of Redis.
    const policy = name === 'rustory-redis' ? {} : { 'helm.sh/resource-policy': 'keep' };
    replace(name, `the old ${name}`);
    const old = cluster.get('Secret', name) as KubernetesObject;
    cluster.store({
      ...old,
      metadata: {
        ...old.metadata,
        labels: { 'app.kubernetes.io/managed-by': 'Helm' },
        annotations: { ...owned, ...policy },
      },
    });
  }
  const [secret, ...others] = secretsOf(await deploy());
  // Without the policy, Helm would delete it with this upgrade. The next one removes it from the manifest.
  expect(others).toEqual([]);
  expect(secret?.metadata).toMatchObject({
    name: 'rustory-redis',
    annotations: { 'helm.sh/resource-policy': 'keep' },
  });
  for (const name of GENERATED) expect(contentOf(name)).toBe(`the old ${name}`);
});

test('a Secret without its key is reported, and nothing is generated over it', async () => {
  await deploy();
  cluster.store({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'rustory-relay-identity' }, data: {} });
  const { code, stderr } = await attempt({}, UMBRELLA);
  expect(code).not.toBe(0);
  expect(stderr).toContain('The Secret rustory-relay-identity does not have the key seed.');
});

test('each chart alone generates its Secrets once', async () => {
  for (const [chart, count] of [
    [TRACKER, 1],
    [RELAY, 2],
  ] as const) {
    const installed = await deploy({}, chart);
    expect(secretsOf(installed)).toHaveLength(count);
    const upgraded = await deploy({}, chart);
    expect(secretsOf(upgraded)).toEqual([]);
    expect(restarted(installed, upgraded)).toEqual([]);
  }
});
