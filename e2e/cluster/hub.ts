// Scenario `hub`: the hubs of two users, with devices outside the cluster that are never on at the same time. The pod of a
// hub is killed while a device pushes, and upgraded.
import type { Checks } from '../../testing/checks.ts';
import { parseLines } from '../../scripts/local-network.ts';
import { until } from '../../testing/wait.ts';
import { createDevice } from './devices.ts';
import { checkRestore } from './hub-restore.ts';
import { checkIsolation } from './hub-isolation.ts';
import {
  ADA,
  createHub,
  GRACE,
  type Hub,
  HUB_VALUES,
  keptOf,
  listPeers,
  REPLACE_TIMEOUT_MS,
  uidOf,
  waitReady,
} from './hub-release.ts';
import type { Namespace } from './kubernetes.ts';
import type { ClusterNetwork } from './network.ts';
import { pushesTo } from './pushes.ts';

const SMALL_HISTORY = 3_000;
/** So large that a push of it is not complete before the pod of the hub is deleted, also twice. */
const LARGE_HISTORY = 30_000;
/** Deadline of the push of the large history, in milliseconds; generous, because the machine is busy. */
const PUSH_TIMEOUT_MS = 300_000;

/** What the checks share. */
export interface HubScenario {
  readonly network: ClusterNetwork;
  readonly hub: Hub;
  /** The entries of the user, on all devices together. */
  rows: number;
}

export async function checkHubs(checks: Checks, network: ClusterNetwork): Promise<void> {
  const hub = createHub(network, ADA);
  const scenario: HubScenario = { network, hub, rows: 0 };
  await checkRegistered(checks, network);
  await checkNeverTogether(checks, scenario);
  await checkDeletedPod(checks, scenario);
  await checkUpgrades(checks, scenario);
  await checkRestore(checks, scenario);
  await checkIsolation(checks, scenario);
}

async function checkRegistered(checks: Checks, network: ClusterNetwork): Promise<void> {
  for (const user of [ADA, GRACE]) {
    await checks.check(
      `the hub of "${user.userId}" is registered with a circuit of each relay, and with no other address`,
      async () => {
        const hub = createHub(network, user);
        const { peer_id: peerId, addrs, meta } = await hub.registered();
        if (peerId !== (await hub.peerId())) throw new Error(`The pod has another peer id than ${peerId}.`);
        if (addrs.length !== network.relays.length || meta['user_id'] !== user.userId)
          throw new Error(JSON.stringify({ addrs, meta }));
        return `${addrs.length} circuits`;
      },
    );
  }
  await checks.check('helm test tests pushes and pulls through a hub, and asks each hub', async () => {
    const output = await network.namespace.test();
    const asked = /2 hubs asked, 0 tests of hubs failed/.exec(output)?.[0];
    if (asked === undefined) throw new Error(output);
    return asked;
  });
}

async function checkNeverTogether(checks: Checks, scenario: HubScenario): Promise<void> {
  const { network } = scenario;
  for (const user of [ADA, GRACE]) {
    await checks.check(
      `a device of "${user.userId}" pushes and leaves, and another one then has everything`,
      async () => {
        const [a, b] = ['first', 'second'].map((name) =>
          createDevice(network, `${user.name}-${name}`, undefined, user.userId),
        );
        if (a === undefined || b === undefined) throw new Error('There are no devices.');
        a.record(SMALL_HISTORY);
        const pushed = await a.run('sync', '--push', '--json');
        if (pushed.code !== 0) throw new Error(`${pushed.stdout}${pushed.stderr}`);
        const pulled = await b.run('sync', '--json');
        const [result] = parseLines<{ entries: number; address: string }>(pulled.stdout);
        if (pulled.code !== 0 || result?.entries !== SMALL_HISTORY)
          throw new Error(`${pulled.stdout}${pulled.stderr}`);
        await createHub(network, user).hasAllOf(b, SMALL_HISTORY);
        return `${result.entries} entries through ${result.address.slice(0, result.address.indexOf('/p2p/'))}`;
      },
    );
  }
  scenario.rows = SMALL_HISTORY;
}

async function checkDeletedPod(checks: Checks, scenario: HubScenario): Promise<void> {
  const { network, hub } = scenario;
  const { namespace } = network;
  const device = createDevice(network, 'large', undefined, ADA.userId);
  await checks.check(
    'a hub whose pod is deleted twice during a push loses nothing that it acknowledged',
    async () => {
      const peerId = await hub.peerId();
      device.record(LARGE_HISTORY);
      scenario.rows += LARGE_HISTORY;
      const acknowledged = (): number => pushesTo(device, peerId).acknowledged;
      const atDeletion: number[] = [];
      const running = device.start('daemon', '--push', '--interval-sec', '2', '--json');
      try {
        for (const options of [['--force', '--grace-period=0'], []]) {
          const before = acknowledged();
          await until(
            () => acknowledged() > before,
            'the hub acknowledges a part of the history',
            PUSH_TIMEOUT_MS,
          );
          await replacePod(namespace, hub.pod, options);
          atDeletion.push(acknowledged());
        }
        await until(
          () => acknowledged() === LARGE_HISTORY,
          'the hub acknowledges the whole history',
          PUSH_TIMEOUT_MS,
        );
      } finally {
        await running.stop();
      }
      await waitReady(namespace, hub.name);
      if ((await hub.peerId()) !== peerId) throw new Error('The new pod has another peer id.');
      await hub.hasAllOf(device, scenario.rows);
      if (atDeletion.includes(LARGE_HISTORY))
        throw new Error(`The push was complete before the new pod: ${atDeletion.join(', ')} entries.`);
      return `${atDeletion.join(' and ')} of ${LARGE_HISTORY} entries were acknowledged when there was a new pod`;
    },
  );
}

/** Deletes a pod, and waits until there is another one with its name. */
async function replacePod(namespace: Namespace, name: string, options: readonly string[]): Promise<void> {
  const before = await uidOf(namespace, 'pod', name);
  await namespace.kubectl('delete', 'pod', name, '--wait=false', ...options);
  await until(
    async () => {
      const after = await uidOf(namespace, 'pod', name);
      return after !== undefined && after !== before;
    },
    `there is a new pod ${name}`,
    REPLACE_TIMEOUT_MS,
  );
}

async function checkUpgrades(checks: Checks, { network, hub }: HubScenario): Promise<void> {
  const { namespace } = network;
  const changed = { ...HUB_VALUES, config: { RUSTORY_HUB_INTERVAL_SEC: 30 } };
  await checks.check(
    'an upgrade that restarts a hub keeps its volume, its Secrets and its peer id',
    async () => {
      const before = { kept: await keptOf(namespace, hub), peerId: await hub.peerId() };
      const pod = await uidOf(namespace, 'pod', hub.pod);
      await network.upgrade('first', changed);
      if ((await uidOf(namespace, 'pod', hub.pod)) === pod) throw new Error('The pod was not replaced.');
      if ((await keptOf(namespace, hub)) !== before.kept)
        throw new Error('The volume or a Secret has changed.');
      const { peer_id: peerId } = await hub.registered();
      if (peerId !== before.peerId) throw new Error(`The peer id is ${peerId} instead of ${before.peerId}.`);
    },
  );
  const devices = ['star-a', 'star-b'].map((name) => createDevice(network, name, undefined, ADA.userId));
  const serving = devices.map((device) => device.start('serve'));
  try {
    for (const isStar of [true, false])
      await checks.check(
        isStar
          ? 'hub.star=true by an upgrade: devices are listed only the hub'
          : 'hub.star=false by an upgrade: devices are listed all devices',
        async () => {
          await network.upgrade('first', { ...changed, star: isStar });
          // Twice the devices and the hub without a star.
          const expected = isStar ? ['hub'] : ['hub', 'star-a', 'star-b'];
          let listed: string[] = [];
          await until(
            async () => {
              const peers = await listPeers(network, ADA.userId);
              listed = peers.map(({ meta }) => String(meta['device_id'])).toSorted();
              return expected.every((name) => listed.includes(name)) && (!isStar || listed.length === 1);
            },
            `the tracker lists ${expected.join(', ')}`,
            REPLACE_TIMEOUT_MS,
          );
          return listed.join(', ');
        },
      );
  } finally {
    for (const running of serving) await running.stop();
  }
}
