// The NetworkPolicy of hubs, and what an uninstall leaves.
import manifest from '../../package.json' with { type: 'json' };
import type { Checks } from '../../testing/checks.ts';
import { createDevice } from './devices.ts';
import type { HubScenario } from './hub.ts';
import { ADA, HUB_VALUES, keptOf } from './hub-release.ts';
import { createNamespace, type Namespace, RELEASE } from './kubernetes.ts';
import { remainingObjects } from './leftovers.ts';

/** Timeout of the connection of the other pod, in milliseconds. */
const CONNECT_TIMEOUT_MS = 5_000;

export async function checkIsolation(checks: Checks, scenario: HubScenario): Promise<void> {
  const { network, hub } = scenario;
  const { namespace } = network;
  const other = await createNamespace('rustory-other');
  try {
    await startPod(other);
    const url = `http://${hub.pod}.${RELEASE}-hub.${namespace.name}.svc:9092/readyz`;
    await checks.check(
      'with a NetworkPolicy a hub works, and other namespaces cannot reach its ops port',
      async () => {
        const before = await request(other, url);
        if (before !== '200') throw new Error(`Without a policy the answer is ${before} instead of 200.`);
        await network.upgrade('first', { ...HUB_VALUES, networkPolicy: { enabled: true } });
        await hub.registered();
        const device = createDevice(network, 'isolated', undefined, ADA.userId);
        device.record(1);
        const { code, stdout, stderr } = await device.run('sync', '--push', '--json');
        scenario.rows += 1;
        if (code !== 0) throw new Error(`${stdout}${stderr}`);
        await hub.hasAllOf(device, scenario.rows);
        const after = await request(other, url);
        if (after !== 'no answer') throw new Error(`With the policy the answer is ${after}.`);
        if (!(await namespace.test()).includes('0 tests of hubs failed'))
          throw new Error('helm test failed.');
      },
    );
  } finally {
    await other.remove();
  }
  await checks.check(
    'an uninstall keeps the volumes and the Secrets of hubs, and a new install uses them',
    async () => {
      const before = { kept: await keptOf(namespace, hub), peerId: await hub.peerId() };
      const { kept, leaked } = await remainingObjects(namespace, await namespace.uninstall());
      if (leaked.length > 0)
        throw new Error(`These objects remain after the uninstall: ${leaked.join(', ')}.`);
      if ((await keptOf(namespace, hub)) !== before.kept)
        throw new Error('The volume or a Secret has changed.');
      await network.install();
      const { peer_id: peerId } = await hub.registered();
      if (peerId !== before.peerId) throw new Error(`The peer id is ${peerId} instead of ${before.peerId}.`);
      return kept.join(', ');
    },
  );
}

/** A pod that only waits, for connections from another namespace. */
async function startPod(namespace: Namespace): Promise<void> {
  const image = `ghcr.io/rustory/rustory-p2p-hub:${manifest.version}`;
  const container = {
    name: 'client',
    image,
    command: ['node', '-e', 'setInterval(() => {}, 1e9)'],
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
  };
  const securityContext = { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } };
  await namespace.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'client' },
    spec: { containers: [container], securityContext, automountServiceAccountToken: false },
  });
  await namespace.kubectl('wait', '--for=condition=Ready', 'pod/client', '--timeout=120s');
}

/** The status of a request of the pod, or `no answer`. */
async function request(namespace: Namespace, url: string): Promise<string> {
  const script = `fetch(process.argv[1], { signal: AbortSignal.timeout(${CONNECT_TIMEOUT_MS}) })
    .then(({ status }) => console.log(status), () => console.log('no answer'))`;
  return namespace.kubectl('exec', 'client', '--', 'node', '-e', script, url);
}
