// A network with the hubs of two users, and what its operator and its devices see of a hub.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { difference } from '../../scripts/local-network.ts';
import { attempt, run } from '../../testing/command.ts';
import { until } from '../../testing/wait.ts';
import type { Device } from './devices.ts';
import { type KubernetesObject, type Namespace, RELEASE } from './kubernetes.ts';
import type { ClusterNetwork } from './network.ts';

/** Deadline of changes that replace pods, in milliseconds. */
export const REPLACE_TIMEOUT_MS = 120_000;
/** Timeout of a backup or a restore, in milliseconds. */
const COPY_TIMEOUT_MS = 120_000;

export const ADA = { name: 'ada', userId: 'ada' };
/** An id that is no name in Kubernetes, in a URL or in a file of tokens. */
export const GRACE = { name: 'grace', userId: 'Grace Høpper 100% $(HOME) <grace@example.org>' };

export const HUB_VALUES = {
  enabled: true,
  users: [ADA, GRACE],
  networkPolicy: { enabled: false },
};

/** A device in the list of a tracker. */
export interface Listed {
  readonly peer_id: string;
  readonly addrs: readonly string[];
  readonly meta: Readonly<Record<string, unknown>>;
}

export interface Hub {
  /** The name of its StatefulSet. */
  readonly name: string;
  readonly pod: string;
  readonly userId: string;
  /** Runs a command of `rustory-peer` in the pod. */
  peer(...args: string[]): Promise<string>;
  peerId(): Promise<string>;
  /** Waits until the hub is ready, is registered and has another peer id than before. Returns the peer id. */
  renewed(before: string): Promise<string>;
  /** Waits until the tracker lists the hub, with a circuit of each relay. */
  registered(): Promise<Listed>;
  /** Writes a backup to a file on this machine, with the command in docs/hub.md. */
  backup(file: string): Promise<void>;
  /** Restores a backup while the hub runs, with the command in docs/hub.md. */
  restore(file: string): Promise<void>;
  /** Waits until the hub has the same entries as a device, each once. */
  hasAllOf(device: Device, rows: number): Promise<void>;
}

export function createHub(network: ClusterNetwork, user: typeof ADA): Hub {
  const { namespace, folder } = network;
  const name = `${RELEASE}-hub-${user.name}`;
  const pod = `${name}-0`;
  const exec = ['--container=hub', '--', 'node', '/app/peer.js'];
  const shell = async (script: string, file: string): Promise<void> => {
    const command = script.replace('POD', pod).replace('kubectl', `kubectl --namespace ${namespace.name}`);
    await run('sh', ['-c', command, file], { timeoutMs: COPY_TIMEOUT_MS });
  };
  const peer = async (...args: string[]): Promise<string> => namespace.kubectl('exec', pod, ...exec, ...args);
  const peerId = async (): Promise<string> =>
    (JSON.parse(await peer('hub', 'identity', '--json')) as { peer_id: string }).peer_id;
  const registered = async (): Promise<Listed> => {
    let found: Listed | undefined;
    await until(
      async () => {
        const listed = await listPeers(network, user.userId);
        found = listed.find(
          ({ peer_id: id, addrs, meta }) =>
            meta['role'] === 'hub' &&
            network.relays.every((relay) => addrs.includes(`${relay}/p2p-circuit/p2p/${id}`)),
        );
        return found !== undefined;
      },
      `the tracker lists the hub of ${user.userId} with a circuit of each relay`,
      REPLACE_TIMEOUT_MS,
    );
    return found as Listed;
  };
  const backup = async (file: string): Promise<void> =>
    shell('kubectl exec POD -c hub -- node /app/peer.js backup - > "$0"', file);
  return {
    name,
    pod,
    userId: user.userId,
    peer,
    peerId,
    registered,
    backup,
    restore: async (file) => shell('kubectl exec -i POD -c hub -- node /app/peer.js restore - < "$0"', file),
    async renewed(before) {
      let found: Listed | undefined;
      await until(
        async () => {
          found = (await listPeers(network, user.userId)).find(
            ({ peer_id: id, meta }) => meta['role'] === 'hub' && id !== before,
          );
          return found !== undefined;
        },
        `the hub of ${user.userId} is registered with a new peer id`,
        REPLACE_TIMEOUT_MS,
      );
      await waitReady(namespace, name);
      return found?.peer_id ?? '';
    },
    async hasAllOf(device, rows) {
      const copy = join(folder, `${name}-copy.db`);
      let seen = '';
      await until(
        async () => {
          await backup(copy);
          const result = difference(device.database, copy);
          seen = JSON.stringify(result);
          return result.missing === 0 && result.surplus === 0 && result.rows === rows;
        },
        `the hub has the ${rows} entries of ${device.name}`,
        REPLACE_TIMEOUT_MS,
      ).catch((error: unknown) => {
        throw new Error(`The hub differs from ${device.name}: ${seen}.`, { cause: error });
      });
    },
  };
}

/** Waits until the pod of a hub is ready. */
export async function waitReady(namespace: Namespace, name: string): Promise<void> {
  await namespace.kubectl('rollout', 'status', `statefulset/${name}`, '--timeout=120s');
}

/** The devices of a user as the tracker lists them to a device; empty while it does not answer. */
export async function listPeers(
  { tracker, token }: Pick<ClusterNetwork, 'tracker' | 'token'>,
  userId: string,
): Promise<readonly Listed[]> {
  try {
    const response = await fetch(`${tracker.url}/api/v1/peers?user_id=${encodeURIComponent(userId)}`, {
      headers: { Authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(5_000),
    });
    if (response.status !== 200) return [];
    return ((await response.json()) as { peers: Listed[] }).peers;
  } catch {
    return [];
  }
}

/** The id of an object, or of nothing when it does not exist. A new object with the same name has another one. */
export async function uidOf(namespace: Namespace, kind: string, name: string): Promise<string | undefined> {
  const { code, stdout } = await attempt('kubectl', [
    '--namespace',
    namespace.name,
    'get',
    kind,
    name,
    '--output=jsonpath={.metadata.uid}',
  ]);
  return code === 0 && stdout !== '' ? stdout : undefined;
}

/** What a hub must keep: its volume, and a hash of its Secrets. */
export async function keptOf(namespace: Namespace, hub: Hub): Promise<string> {
  const secrets: KubernetesObject[] = await namespace.list('secrets', 'app.kubernetes.io/name=hub');
  const data = secrets.map(({ metadata, data: values }) => JSON.stringify([metadata.name, values]));
  const hash = createHash('sha256').update(data.toSorted().join('\n')).digest('hex');
  return `${await uidOf(namespace, 'pvc', `data-${hub.pod}`)} ${hash}`;
}
