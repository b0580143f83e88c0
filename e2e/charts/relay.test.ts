import { describe, expect, test } from '@jest/globals';
import { expandAnnounced } from '../../services/relay/announce.ts';
import { valueAt, environment, podSpec, RELAY, render, sourceOfFile } from '../../testing/charts.ts';

const EXPOSED = {
  replicaCount: 2,
  p2p: { expose: 'LoadBalancer', announce: ['/dns4/relay-{ordinal}.example.org/tcp/4001'] },
};

/** Maximum time until a device reserves again after its relay restarted. */
const RESERVE_AGAIN_SECONDS = 8;

/** The Services of single relays. */
async function relayServices(values: object) {
  const services = (await render(RELAY, values as never)).all('Service');
  return services.filter((service) => valueAt(service, 'spec', 'clusterIP') !== 'None');
}

async function podAnnotations(values: object): Promise<unknown> {
  const set = (await render(RELAY, values as never)).only('StatefulSet');
  return valueAt(set, 'spec', 'template', 'metadata', 'annotations');
}

describe('statefulset.yaml', () => {
  test('replaces a relay only after the devices of the previous one had time to reserve again', async () => {
    const set = (await render(RELAY)).only('StatefulSet');
    expect(valueAt(set, 'spec', 'minReadySeconds')).toBeGreaterThan(RESERVE_AGAIN_SECONDS);
  });

  test('announces the DNS name of each pod inside the cluster by default', async () => {
    const set = (await render(RELAY)).only('StatefulSet');
    const { RELAY_ANNOUNCE: template } = environment(set);
    const pod = { podName: 'rustory-relay-0', ordinal: '0', podIP: undefined, hostIP: undefined };
    expect(expandAnnounced(String(template), pod).toString()).toBe(
      '/dns/rustory-relay-0.rustory-relay.p2p.svc/tcp/4001',
    );
  });

  test('provides the values of all placeholders of p2p.announce', async () => {
    const set = (await render(RELAY)).only('StatefulSet');
    const variables = valueAt(podSpec(set), 'containers', 0, 'env') as unknown[];
    const sources = variables.flatMap((variable) => {
      const path = valueAt(variable, 'valueFrom', 'fieldRef', 'fieldPath');
      return path === undefined ? [] : [[valueAt(variable, 'name'), path]];
    });
    expect(sources).toEqual([
      ['RELAY_POD_NAME', 'metadata.name'],
      ['RELAY_POD_IP', 'status.podIP'],
      ['RELAY_HOST_IP', 'status.hostIP'],
    ]);
  });

  test('reads swarm key and seed from existing Secrets', async () => {
    const values = {
      swarmKey: { existingSecret: 'mine', existingSecretKey: 'psk' },
      identity: { existingSecret: 'ours', existingSecretKey: 'secret' },
    };
    const set = (await render(RELAY, values)).only('StatefulSet');
    const { RELAY_SWARM_KEY_FILE: swarmKey, RELAY_IDENTITY_SEED_FILE: seed } = environment(set);
    expect(sourceOfFile(set, String(swarmKey))).toBe('mine/psk');
    expect(sourceOfFile(set, String(seed))).toBe('ours/secret');
  });

  test('reads swarm key and seed from the Secrets of the chart by default', async () => {
    const release = await render(RELAY);
    const set = release.only('StatefulSet');
    const { RELAY_SWARM_KEY_FILE: swarmKey, RELAY_IDENTITY_SEED_FILE: seed } = environment(set);
    const keys = release
      .all('Secret')
      .flatMap((secret) =>
        Object.keys(valueAt(secret, 'data') as object).map((key) => `${secret.metadata.name}/${key}`),
      );
    expect(keys).toEqual([sourceOfFile(set, String(swarmKey)), sourceOfFile(set, String(seed))]);
  });

  test('gives a pod the preStop sleep, the drain deadline and ten seconds to stop', async () => {
    const set = (await render(RELAY, { preStopSleepSeconds: 4, drainSeconds: 60 })).only('StatefulSet');
    expect(valueAt(podSpec(set), 'terminationGracePeriodSeconds')).toBe(74);
    expect(environment(set)).toMatchObject({ RELAY_DRAIN_SECONDS: '60' });
  });

  test('replaces the pods when a key changes, and not when unrelated values change', async () => {
    const other = { swarmKey: { value: 'f'.repeat(64) } };
    expect(await podAnnotations(other)).not.toEqual(await podAnnotations({}));
    expect(await podAnnotations({ preStopSleepSeconds: 9 })).toEqual(await podAnnotations({}));
  });
});

describe('service.yaml', () => {
  test('resolves the names of pods that are starting or draining', async () => {
    const release = await render(RELAY);
    const service = release.only('Service');
    expect(valueAt(release.only('StatefulSet'), 'spec', 'serviceName')).toBe(service.metadata.name);
    expect(valueAt(service, 'spec')).toMatchObject({ clusterIP: 'None', publishNotReadyAddresses: true });
  });
});

describe('relay-services.yaml', () => {
  test('creates no Service for single relays by default', async () => {
    expect(await relayServices({})).toEqual([]);
  });

  test('creates a Service for each relay that selects only its pod and keeps source addresses', async () => {
    const services = await relayServices(EXPOSED);
    expect(services.map(({ metadata }) => metadata.name)).toEqual(['rustory-relay-0', 'rustory-relay-1']);
    expect(valueAt(services[1], 'spec')).toMatchObject({
      type: 'LoadBalancer',
      externalTrafficPolicy: 'Local',
      selector: { 'statefulset.kubernetes.io/pod-name': 'rustory-relay-1' },
      ports: [{ name: 'p2p', port: 4001, targetPort: 'p2p' }],
    });
  });

  test('annotates each Service for external-dns with the host name that its relay announces', async () => {
    const services = await relayServices({
      ...EXPOSED,
      p2p: { ...EXPOSED.p2p, externalDNS: { enabled: true } },
    });
    expect(services.map(({ metadata }) => metadata.annotations)).toEqual([
      { 'external-dns.alpha.kubernetes.io/hostname': 'relay-0.example.org' },
      { 'external-dns.alpha.kubernetes.io/hostname': 'relay-1.example.org' },
    ]);
  });

  test('gives each relay its own address, annotations and node port, in order', async () => {
    const services = await relayServices({
      ...EXPOSED,
      p2p: {
        ...EXPOSED.p2p,
        loadBalancerIPs: ['192.0.2.1', '192.0.2.2'],
        nodePorts: [30_001, 30_002],
        annotations: { pool: 'all', zone: 'any' },
        perRelayAnnotations: [{ zone: 'a' }, { zone: 'b' }],
      },
    });
    expect(
      services.map((service) => [
        valueAt(service, 'spec', 'loadBalancerIP'),
        valueAt(service, 'spec', 'ports', 0, 'nodePort'),
        service.metadata.annotations,
      ]),
    ).toEqual([
      ['192.0.2.1', 30_001, { pool: 'all', zone: 'a' }],
      ['192.0.2.2', 30_002, { pool: 'all', zone: 'b' }],
    ]);
  });

  test('opens the node port that each relay announces', async () => {
    const values = {
      replicaCount: 2,
      p2p: { expose: 'NodePort', nodePorts: [30_400, 30_401], announce: ['/ip4/{hostIP}/tcp/3040{ordinal}'] },
    };
    const template = String(environment((await render(RELAY, values)).only('StatefulSet'))['RELAY_ANNOUNCE']);
    for (const [ordinal, service] of (await relayServices(values)).entries()) {
      const pod = { ordinal: String(ordinal), hostIP: '192.0.2.7', podName: undefined, podIP: undefined };
      expect(expandAnnounced(template, pod).toString()).toBe(
        `/ip4/192.0.2.7/tcp/${String(valueAt(service, 'spec', 'ports', 0, 'nodePort'))}`,
      );
    }
  });
});

describe('pdb.yaml', () => {
  test('allows one unavailable relay, and does not exist for a single relay', async () => {
    expect((await render(RELAY)).all('PodDisruptionBudget')).toEqual([]);
    const budget = (await render(RELAY, { replicaCount: 3 })).only('PodDisruptionBudget');
    expect(valueAt(budget, 'spec', 'maxUnavailable')).toBe(1);
  });
});
