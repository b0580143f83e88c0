// The chart of the hubs, alone and in the umbrella chart with its trackers and relays.
import { describe, expect, test } from '@jest/globals';
import { listVariables } from '../../services/peer/config/config.ts';
import {
  environment,
  HUB,
  HUB_TOKENS,
  podSpec,
  type Release,
  render,
  sourceOfFile,
  valueAt,
} from '../../testing/charts.ts';
import { directStar, hubOf, IDS, seenByProcess, umbrella, USERS, withPolicies } from './hub-values.ts';

/** Without a Service, and with all egress. */
const withoutService = async (): Promise<Release> =>
  umbrella({ service: { type: 'None' }, networkPolicy: { enabled: true, anyEgress: true } });

const sizeOf = (release: Release): unknown => environment(hubOf(release))['RUSTORY_MAX_DATABASE_BYTES'];

const retention = (release: Release): unknown =>
  valueAt(hubOf(release), 'spec', 'persistentVolumeClaimRetentionPolicy', 'whenDeleted');

const claim = (release: Release): unknown =>
  valueAt(hubOf(release), 'spec', 'volumeClaimTemplates', 0, 'spec');

/** This chart alone, with values that no other test needs by default. */
const withValues = async (): Promise<Release> =>
  render(HUB, {
    startupSeconds: 601,
    persistence: { size: '10Gi', retention: 'Delete', storageClassName: 'fast' },
    tokens: { existingSecret: 'mine' },
  });

const namesOfServices = (release: Release): string[] =>
  release.all('Service').map(({ metadata }) => metadata.name);

const ports = (release: Release): unknown[] => {
  const policy = release.only('NetworkPolicy', 'rustory-hub');
  const rules = (valueAt(policy, 'spec', 'ingress') ?? []) as unknown[];
  return rules.map((rule) => valueAt(rule, 'ports', 0, 'port'));
};

const egress = (release: Release): string =>
  JSON.stringify(valueAt(release.only('NetworkPolicy', 'rustory-hub'), 'spec', 'egress'));

describe('a hub of each user', () => {
  test('has its own StatefulSet of one pod, volume and Service, and the exact user id', async () => {
    const release = await render(HUB, { users: USERS });
    const sets = release.all('StatefulSet');
    expect(sets.map((set) => seenByProcess(environment(set)['RUSTORY_USER_ID']))).toEqual(IDS);
    for (const set of sets) {
      expect(valueAt(set, 'spec', 'replicas')).toBe(1);
      expect(valueAt(set, 'spec', 'volumeClaimTemplates')).toHaveLength(1);
      const selector = valueAt(set, 'spec', 'selector', 'matchLabels');
      expect(valueAt(release.only('Service', set.metadata.name), 'spec', 'selector')).toEqual(selector);
      const others = sets.filter((other) => other !== set);
      for (const other of others)
        expect(valueAt(other, 'spec', 'template', 'metadata', 'labels')).not.toMatchObject(
          selector as object,
        );
    }
  });

  test('has a name that is short enough and unique, also with a long release and user', async () => {
    const [long, other] = [`${'u'.repeat(39)}1`, `${'u'.repeat(39)}2`];
    const users = [long, other].map((name) => ({ name, userId: name }));
    const names = (await render(HUB, { users, fullnameOverride: 'f'.repeat(50) }))
      .all('StatefulSet')
      .map(({ metadata }) => metadata.name);
    expect(new Set(names).size).toBe(2);
    for (const name of names) expect(name.length).toBeLessThanOrEqual(52);
  });

  test('has only variables of the peer, and no secret among them', async () => {
    const known = new Set([...Object.keys(listVariables()), 'HOME']);
    const names = Object.keys(environment(hubOf(await withPolicies())));
    expect(names.filter((name) => !known.has(name))).toEqual([]);
    expect(names).not.toContain('RUSTORY_TRACKER_TOKEN');
  });

  test('has a database smaller than its volume, unless the values set its size', async () => {
    expect(sizeOf(await withValues())).toBe(String(8 * 1024 ** 3));
    const release = await render(HUB, { config: { RUSTORY_MAX_DATABASE_BYTES: 2_000_000_000 } });
    expect(sizeOf(release)).toBe('2000000000');
  });

  test('keeps its volume by default, and deletes it only when the values say so', async () => {
    expect(retention(await render(HUB))).toBe('Retain');
    expect(retention(await withValues())).toBe('Delete');
  });

  test('has the storage class of the values, and otherwise that of the cluster', async () => {
    expect(claim(await withValues())).toMatchObject({
      storageClassName: 'fast',
      resources: { requests: { storage: '10Gi' } },
    });
    expect(claim(await render(HUB))).not.toHaveProperty('storageClassName');
  });

  test('is replaced by an upgrade also when it is not ready, so that new values can mend it', async () => {
    expect(valueAt(hubOf(await withValues()), 'spec', 'podManagementPolicy')).toBe('Parallel');
  });

  test('may take long to start, because it tests its database', async () => {
    const set = hubOf(await withValues());
    const { periodSeconds, failureThreshold } = valueAt(podSpec(set), 'containers', 0, 'startupProbe') as {
      periodSeconds: number;
      failureThreshold: number;
    };
    expect(periodSeconds * failureThreshold).toBeGreaterThanOrEqual(601);
  });

  test('has no disruption budget alone, and one for several hubs that permits a drain', async () => {
    expect((await render(HUB)).all('PodDisruptionBudget')).toEqual([]);
    const budget = (await render(HUB, { users: USERS })).only('PodDisruptionBudget');
    expect(valueAt(budget, 'spec', 'maxUnavailable')).toBe(1);
  });
});

describe('the network of a hub', () => {
  test('is that of the release: its trackers, the addresses of all its relays inside the cluster, its Secrets', async () => {
    const set = hubOf(await withPolicies());
    expect(environment(set)).toMatchObject({
      RUSTORY_TRACKERS: 'http://rustory-tracker.p2p.svc:8850',
      RUSTORY_TRACKER_TOKEN_OVER_HTTP: 'true',
      RUSTORY_INTERNAL_RELAY_ADDRS:
        '/dns/rustory-relay-0.rustory-relay.p2p.svc/tcp/4001,/dns/rustory-relay-1.rustory-relay.p2p.svc/tcp/4001',
    });
    expect(environment(set)).not.toHaveProperty('RUSTORY_RELAY_ADDR');
    const fileOf = (variable: string): string => sourceOfFile(set, String(environment(set)[variable]));
    expect(fileOf('RUSTORY_SWARM_KEY_PATH')).toBe('rustory-relay-swarm-key/swarm.key');
    expect(fileOf('RUSTORY_HUB_SECRET_PATH')).toBe('rustory-hub/secret');
    expect(fileOf('RUSTORY_TRACKER_TOKEN_PATH')).toBe(`${HUB_TOKENS}/token-ada`);
  });

  test('has no token when the trackers require none', async () => {
    const set = hubOf(await umbrella({}, { tracker: { auth: { enabled: false } } }));
    expect(JSON.stringify(set)).not.toMatch(/TOKEN|token/);
  });

  test('is that of the values when this chart is alone', async () => {
    const set = hubOf(await withValues());
    expect(environment(set)).toMatchObject({
      RUSTORY_TRACKERS: 'https://tracker.example.org',
      RUSTORY_RELAY_ADDR: expect.stringContaining('/p2p/12D3'),
    });
    expect(environment(set)).not.toHaveProperty('RUSTORY_TRACKER_TOKEN_OVER_HTTP');
    expect(sourceOfFile(set, String(environment(set)['RUSTORY_TRACKER_TOKEN_PATH']))).toBe('mine/token-ada');
  });

  test('reaches a tracker that serves TLS itself at its port without TLS', async () => {
    const tracker = { ingress: { enabled: false }, tls: { existingSecret: 'tls', hosts: ['t.example.org'] } };
    const release = await umbrella({ networkPolicy: { enabled: true } }, { tracker });
    expect(environment(hubOf(release))['RUSTORY_TRACKERS']).toBe('http://rustory-tracker-plain.p2p.svc:8850');
    const policy = release.only('NetworkPolicy', 'rustory-hub');
    expect(valueAt(policy, 'spec', 'egress', 1, 'ports')).toEqual([{ port: 8851 }]);
  });
});

describe('direct connections to a hub', () => {
  test('are announced with the address or the port of each user', async () => {
    const release = await directStar();
    const announced = ['rustory-hub-ada', 'rustory-hub-bob'].map(
      (name) => environment(hubOf(release, name))['RUSTORY_ANNOUNCE_ADDRS'],
    );
    expect(announced).toEqual(['/ip4/203.0.113.7/tcp/4002', '/ip4/203.0.113.9/tcp/4002']);
    expect(valueAt(release.only('Service', 'rustory-hub-ada'), 'spec')).toMatchObject({
      type: 'LoadBalancer',
      loadBalancerIP: '203.0.113.7',
      externalTrafficPolicy: 'Local',
      publishNotReadyAddresses: true,
      ports: [{ name: 'p2p', port: 4002, targetPort: 'p2p' }],
    });
  });

  test('through the nodes have the port of each user', async () => {
    const release = await render(HUB, {
      users: [{ name: 'ada', userId: 'ada', nodePort: 30_402 }],
      service: { type: 'NodePort' },
      announce: ['/ip4/203.0.113.7/tcp/{nodePort}'],
    });
    expect(environment(hubOf(release))['RUSTORY_ANNOUNCE_ADDRS']).toBe('/ip4/203.0.113.7/tcp/30402');
    expect(valueAt(release.only('Service', 'rustory-hub-ada'), 'spec')).toMatchObject({
      type: 'NodePort',
      ports: [{ name: 'p2p', port: 4002, nodePort: 30_402 }],
    });
  });

  test('need a Service: without one, the NetworkPolicy allows none', async () => {
    expect(namesOfServices(await withPolicies())).toContain('rustory-hub-ada');
    expect(ports(await withPolicies())).toEqual(['p2p']);
    expect(namesOfServices(await withoutService())).not.toContain('rustory-hub-ada');
    expect(ports(await withoutService())).toEqual([]);
  });

  test('of the hub itself go only to DNS, trackers and relays, unless the values allow all', async () => {
    const strict = egress(await withPolicies());
    for (const part of ['"port":53', '"tracker"', '"port":8850', '"relay"', '"port":4001'])
      expect(strict).toContain(part);
    expect(strict).not.toContain('endPort');
    expect(egress(await withoutService())).toContain('endPort');
  });

  test('to trackers and relays are allowed by their NetworkPolicies', async () => {
    const release = await withPolicies();
    const set = hubOf(release);
    const labels = valueAt(set, 'spec', 'template', 'metadata', 'labels');
    for (const name of ['rustory-tracker', 'rustory-relay']) {
      const peers = valueAt(release.only('NetworkPolicy', name), 'spec', 'ingress', 0, 'from') as unknown[];
      const selected = peers.filter((peer) => {
        const wanted = valueAt(peer, 'podSelector', 'matchLabels') as Record<string, string> | undefined;
        return (
          wanted !== undefined &&
          Object.entries(wanted).every(([label, value]) => valueAt(labels, label) === value)
        );
      });
      expect([name, selected.length]).toEqual([name, 1]);
    }
  });
});
