import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse as parseToml } from 'smol-toml';
import { multiaddr } from '@multiformats/multiaddr';
import { networkTest } from '../../services/peer/cli/commands/network-test.ts';
import { listSettings } from '../../services/peer/config/config.ts';
import {
  environment,
  podSpec,
  RELAY,
  type Release,
  render,
  sourceOfFile,
  TRACKER,
  UMBRELLA,
  valueAt,
} from '../../testing/charts.ts';
import { attempt } from '../../testing/command.ts';
import { freePort, startProcess } from '../../testing/redis.ts';

const REDIS_KINDS = ['StatefulSet', 'Service', 'ConfigMap', 'Secret', 'NetworkPolicy'];

/** The objects of the Redis, by kind. */
function redisKinds({ objects }: Release): string[] {
  return objects.filter(({ metadata }) => metadata.name === 'rustory-redis').map(({ kind }) => kind);
}

describe('redis/*.yaml', () => {
  test('is a single Redis without a volume', async () => {
    const release = await render(UMBRELLA);
    expect(redisKinds(release).toSorted()).toEqual(REDIS_KINDS.toSorted());
    const set = release.only('StatefulSet', 'rustory-redis');
    expect(valueAt(set, 'spec', 'replicas')).toBe(1);
    expect(valueAt(set, 'spec', 'volumeClaimTemplates')).toBeUndefined();
  });

  test('refuses writes above redis.maxMemory instead of evicting registrations', async () => {
    const release = await render(UMBRELLA, { redis: { maxMemory: '9mb' } });
    const text = String(valueAt(release.only('ConfigMap'), 'data', 'redis.conf'));
    const directory = mkdtempSync(join(tmpdir(), 'rustory-charts-'));
    const path = join(directory, 'redis.conf');
    // The test has neither the volume nor the file with the password.
    writeFileSync(
      path,
      text.replaceAll(/^(dir|include) .*$/gm, '').replace('maxmemory 9mb', 'maxmemory 100kb'),
    );
    const redis = await startProcess('redis-server', await freePort(), [path]);
    try {
      await expect(redis.command('SET', 'registration', 'x')).rejects.toThrow(/^OOM /);
    } finally {
      await redis.stop();
      rmSync(directory, { recursive: true });
    }
  });

  test.each([
    ['with spaces', 'pass word  with   spaces'],
    ['with quotes', `'single' "double"`],
    ['with backslashes', String.raw`back\\slash \n \x41`],
    ['that is a comment in a configuration', '#comment'],
    ['with the characters of URLs', 'a%40b@c:d/e?f&g'],
    ['with other alphabets', 'пароль 密码 ☃'],
    ['with the syntax of a shell', '$(date) `date` $HOME *'],
    ['with white space around it', '  \t between  \n\n'],
    ['as it is generated', 'ab'.repeat(32)],
  ])('accepts a password %s', async (_, password) => {
    const release = await render(UMBRELLA);
    const script = String(
      valueAt(podSpec(release.only('StatefulSet', 'rustory-redis')), 'containers', 0, 'command', 2),
    );
    const directory = mkdtempSync(join(tmpdir(), 'rustory-charts-'));
    writeFileSync(join(directory, 'password-file'), password);
    // The paths of the container, in the directory of the test.
    const local = script
      .replaceAll('/run/secrets/redis/password', join(directory, 'password-file'))
      .replaceAll('/run/redis/', `${directory}/`)
      .replace(/^exec .*$/m, '');
    const { code, stderr } = await attempt('sh', ['-c', local]);
    expect([code, stderr]).toEqual([0, '']);
    const config = join(directory, 'password.conf');
    const redis = await startProcess('redis-server', await freePort(), [config], password.trim(), true);
    try {
      expect(await redis.command('CONFIG', 'GET', 'requirepass')).toEqual(['requirepass', password.trim()]);
    } finally {
      await redis.stop();
      rmSync(directory, { recursive: true });
    }
  });

  test('does not start with an empty password', async () => {
    const set = (await render(UMBRELLA)).only('StatefulSet', 'rustory-redis');
    const script = String(valueAt(podSpec(set), 'containers', 0, 'command', 2));
    const { code, stderr } = await attempt('sh', [
      '-c',
      script.replace('/run/secrets/redis/password', '/dev/null'),
    ]);
    expect([code, stderr]).toEqual([78, 'The password of Redis is empty.\n']);
  });

  test('reads its password from a file and not from arguments or the environment', async () => {
    const set = (await render(UMBRELLA)).only('StatefulSet', 'rustory-redis');
    const volumes = valueAt(podSpec(set), 'volumes') as unknown[];
    expect(volumes).toContainEqual(
      expect.objectContaining({
        secret: expect.objectContaining({
          secretName: 'rustory-redis',
          items: [{ key: 'password', path: 'password' }],
        }),
      }),
    );
    expect(JSON.stringify(valueAt(podSpec(set), 'containers'))).not.toMatch(/--requirepass|secretKeyRef/);
  });

  test('accepts connections only from the trackers of its release, and opens none', async () => {
    const release = await render(UMBRELLA);
    const policy = release.only('NetworkPolicy');
    const selector = valueAt(policy, 'spec', 'ingress', 0, 'from', 0, 'podSelector', 'matchLabels') as object;
    const pods = release.objects.filter((object) => {
      const labels = valueAt(object, 'spec', 'template', 'metadata', 'labels') ?? object.metadata.labels;
      return (
        valueAt(podSpec(object), 'containers') !== undefined &&
        Object.entries(selector).every(([label, value]) => valueAt(labels, label) === value)
      );
    });
    expect(pods.map(({ metadata }) => metadata.name)).toEqual(['rustory-tracker']);
    expect(valueAt(policy, 'spec', 'policyTypes')).toEqual(['Ingress', 'Egress']);
    expect(valueAt(policy, 'spec', 'egress')).toBeUndefined();
  });

  test.each<[string, object]>([
    ['the URL of an external Redis', { tracker: { externalRedis: { url: 'redis://r' } } }],
    ['a Secret of an external Redis', { tracker: { externalRedis: { existingSecret: 'r' } } }],
    ['a single tracker without Redis', { tracker: { replicaCount: 1, bundledRedis: { enabled: false } } }],
    ['no trackers', { tracker: { enabled: false } }],
  ])('is not installed with %s', async (_, values) => {
    expect(redisKinds(await render(UMBRELLA, values as never))).toEqual([]);
  });

  test('stores registrations on a volume with persistence', async () => {
    const release = await render(UMBRELLA, { redis: { persistence: { enabled: true, size: '3Gi' } } });
    const set = release.only('StatefulSet', 'rustory-redis');
    expect(valueAt(set, 'spec', 'volumeClaimTemplates', 0, 'spec', 'resources', 'requests', 'storage')).toBe(
      '3Gi',
    );
    expect(String(valueAt(release.only('ConfigMap'), 'data', 'redis.conf'))).toMatch(/^appendonly yes$/m);
  });
});

describe('tests/network.yaml', () => {
  test('tests the tracker and every relay with the image of the tracker', async () => {
    const pod = (await render(UMBRELLA, { relay: { replicaCount: 2 } })).only('Pod');
    expect(pod.metadata.annotations).toEqual({
      'helm.sh/hook': 'test',
      'helm.sh/hook-delete-policy': 'before-hook-creation,hook-succeeded',
    });
    const container = valueAt(podSpec(pod), 'containers', 0);
    const tracker = podSpec((await render(UMBRELLA)).only('Deployment'));
    expect(valueAt(container, 'image')).toBe(valueAt(tracker, 'containers', 0, 'image'));
    expect(valueAt(container, 'command')).toEqual(['node', '/app/peer.js', networkTest.name]);
    const args = valueAt(container, 'args') as string[];
    const options = Object.fromEntries(args.map((arg) => arg.replace(/^--/, '').split('=')));
    expect(Object.keys(options).filter((option) => !(option in networkTest.options))).toEqual([]);
    expect(options['relays']?.split(',')).toEqual([
      '/dns/rustory-relay-0.rustory-relay.p2p.svc/tcp/4001',
      '/dns/rustory-relay-1.rustory-relay.p2p.svc/tcp/4001',
    ]);
    expect(sourceOfFile(pod, options['token-file'] ?? '')).toBe('rustory-tracker-tokens/token');
    expect(sourceOfFile(pod, String(environment(pod)['RUSTORY_SWARM_KEY_PATH']))).toBe(
      'rustory-relay-swarm-key/swarm.key',
    );
    expect(environment(pod)).toMatchObject({ RUSTORY_TRACKER_TOKEN_OVER_HTTP: 'true' });
    expect(valueAt(podSpec(pod), 'activeDeadlineSeconds')).toBe(180);
  });

  test('uses no token without authentication, and does not exist without tracker or relay', async () => {
    const open = (await render(UMBRELLA, { tracker: { auth: { enabled: false } } })).only('Pod');
    expect(JSON.stringify(open)).not.toMatch(/token-file|tokens|TOKEN/);
    expect((await render(UMBRELLA, { relay: { enabled: false } })).all('Pod')).toEqual([]);
    expect((await render(UMBRELLA, { tracker: { enabled: false } })).all('Pod')).toEqual([]);
  });
});

/** The config.toml in the notes: the indented lines before the first empty one. */
function deviceConfig({ notes }: Release): Record<string, unknown> {
  const [, block = ''] = /config\.toml on each device:\n\n((?: {2}.*\n)+)/.exec(notes) ?? [];
  return parseToml(block);
}

describe('NOTES.txt', () => {
  test('contain a config.toml that the peer accepts', async () => {
    const config = deviceConfig(
      await render(UMBRELLA, {
        tracker: { ingress: { host: 'tracker.example.org', tls: { enabled: true } } },
        relay: {
          replicaCount: 2,
          p2p: { expose: 'LoadBalancer', announce: ['/dns4/relay-{ordinal}.example.org/tcp/4001'] },
        },
      }),
    );
    const keys = new Set(listSettings({ HOME: '/' }).map(({ key }) => key));
    expect(Object.keys(config).filter((key) => !keys.has(key))).toEqual([]);
    expect(config).toMatchObject({
      trackers: ['https://tracker.example.org'],
      relay_addr: '/dns4/relay-0.example.org/tcp/4001/p2p/THE_PEER_ID_OF_RELAY_0',
      swarm_key_path: '~/.config/rustory/swarm.key',
    });
    const id = '12D3KooWSipeVpkq7qQriPZhzhxkp6gPPnZQ5DNNEdDTXNUaojRn';
    expect(() => multiaddr(String(config['relay_addr']).replace('THE_PEER_ID_OF_RELAY_0', id))).not.toThrow();
  });

  test('contain the commands that print the token, the swarm key and the peer id of each relay', async () => {
    const { notes } = await render(UMBRELLA, { relay: { replicaCount: 2 } });
    for (const command of [
      `get secret rustory-tracker-tokens -o jsonpath='{.data.token}' | base64 -d`,
      String.raw`get secret rustory-relay-swarm-key -o jsonpath='{.data.swarm\.key}' | base64 -d`,
      'exec rustory-relay-0 -c relay -- node /app/relay.js peer-id',
      'exec rustory-relay-1 -c relay -- node /app/relay.js peer-id',
      'helm --namespace p2p test rustory --logs',
    ])
      expect(notes).toContain(command);
    expect(notes).not.toMatch(/5a5a|a-token-for-the-tests/);
  });

  test('name the values that make the network reachable and safe from outside the cluster', async () => {
    const { notes } = await render(UMBRELLA);
    expect(notes).toContain('set tracker.ingress.host');
    expect(notes).toContain('set relay.p2p.expose and relay.p2p.announce');
    const proxies = { RELAY_PROXY_PROTOCOL: true, RELAY_TRUSTED_PROXIES: '192.0.2.0/24' };
    const addressesAreReal = 'Set relay.config.RELAY_ADDRESSES_ARE_REAL to true';
    expect(notes).not.toContain(addressesAreReal);
    expect((await render(UMBRELLA, { relay: { config: proxies } })).notes).toContain(addressesAreReal);
    const clear = await render(UMBRELLA, { tracker: { ingress: { host: 'tracker.example.org' } } });
    expect(clear.notes).toContain('devices with a token send no request to http://tracker.example.org.');
    expect(notes).toContain('WARNING: devices with a token send no request to http://');
    expect(notes).toContain('devices send no token to it, because it is http');
    const open = await render(UMBRELLA, { tracker: { auth: { enabled: false } } });
    expect(open.notes).toContain('set tracker.auth.enabled');
  });

  test.each([
    ['/', ''],
    ['/rustory', '/rustory'],
    ['/rustory/', '/rustory'],
    ['/rustory(/|$)(.*)', '/rustory'],
    ['/a/b/(.*)', '/a/b'],
    ['/(.*)', ''],
    ['/*', ''],
    ['/rustory/.*', '/rustory'],
  ])('contain the URL below the path %s, and the tracker serves it', async (path, prefix) => {
    const release = await render(UMBRELLA, {
      tracker: {
        ingress: {
          host: 'a.example.org',
          path,
          pathType: 'ImplementationSpecific',
          tls: { enabled: true },
        },
      },
    });
    expect(deviceConfig(release)).toMatchObject({ trackers: [`https://a.example.org${prefix}`] });
    expect(environment(release.only('Deployment'))['TRACKER_PATH_PREFIX'] ?? '').toBe(prefix);
  });

  test.each([TRACKER, RELAY])('of %s alone contain the settings of this service', async (chart) => {
    const keys = Object.keys(deviceConfig(await render(chart)));
    expect(keys).toEqual(
      chart === TRACKER ? ['trackers', 'tracker_token'] : ['relay_addr', 'swarm_key_path'],
    );
  });
});
