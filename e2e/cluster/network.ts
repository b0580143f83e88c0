// A private network for devices outside the cluster, and the configuration of these devices, which is only read from
// the notes that Helm prints and from the Secrets that the notes name.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../testing/command.ts';
import { UMBRELLA } from './cases.ts';
import { createNamespace, type Namespace, RELEASE } from './kubernetes.ts';
import type { Options } from './options.ts';

/** Two, so that a device can use one relay while the other one is replaced. */
const RELAYS = 2;
const FIRST_NODE_PORT = 30_440;
const SWARM_KEY_SECRET = `${RELEASE}-relay-swarm-key`;
const TOKEN_SECRET = `${RELEASE}-tracker-tokens`;

export interface ClusterNetwork {
  readonly namespace: Namespace;
  readonly host: string;
  readonly tracker: { readonly url: string };
  readonly token: string;
  /** The address of each relay, with its peer id. */
  readonly relays: readonly string[];
  /** Contains the swarm key and the folders of the devices. */
  readonly folder: string;
  /** Upgrades the release with another pod annotation, so that every pod is replaced, or with other values of hubs. */
  upgrade(revision: string, hub?: object): Promise<void>;
  install(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Installs a network that devices outside can reach.
 * @param hub The values of its hubs. Default: it has none.
 */
export async function createClusterNetwork(options: Options, hub: object = {}): Promise<ClusterNetwork> {
  const folder = await mkdtemp(join(tmpdir(), 'rustory-cluster-'));
  const values = async (revision: string, hubValues = hub): Promise<string[]> => {
    const path = join(folder, 'values.json');
    await writeFile(path, JSON.stringify({ ...valuesOf(options, revision), hub: hubValues }));
    return [path, ...options.values];
  };
  const namespace = await createNamespace('rustory-network');
  const install = async (): Promise<void> => namespace.install(UMBRELLA, await values('first'));
  const close = async (): Promise<void> => {
    await namespace.remove();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await install();
    const configuration = await readConfiguration(namespace, folder);
    const upgrade = async (revision: string, hubValues?: object): Promise<void> =>
      namespace.upgrade(UMBRELLA, await values(revision, hubValues));
    return { namespace, host: options.host, folder, ...configuration, install, upgrade, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Reads the configuration of devices from the notes and from the Secrets that they name. */
async function readConfiguration(namespace: Namespace, folder: string) {
  await writeFile(join(folder, 'swarm.key'), await namespace.readSecret(SWARM_KEY_SECRET, 'swarm.key'), {
    mode: 0o600,
  });
  const { url, relays } = await readNotes(namespace);
  const token = (await namespace.readSecret(TOKEN_SECRET, 'token')).trim();
  return { tracker: { url }, token, relays };
}

function valuesOf({ host, relayAddress }: Options, revision: string): object {
  const podAnnotations = { 'rustory.dev/revision': revision };
  return {
    tracker: { podAnnotations, ingress: { host } },
    relay: { podAnnotations, replicaCount: RELAYS, p2p: exposure(relayAddress) },
  };
}

function exposure(relayAddress: string | undefined): object {
  const ordinals = Array.from({ length: RELAYS }, (_, ordinal) => ordinal);
  if (relayAddress === undefined)
    return {
      expose: 'NodePort',
      nodePorts: ordinals.map((ordinal) => FIRST_NODE_PORT + ordinal),
      announce: [`/ip4/{hostIP}/tcp/${String(FIRST_NODE_PORT).slice(0, -1)}{ordinal}`],
    };
  return {
    expose: 'LoadBalancer',
    loadBalancerIPs: ordinals.map((ordinal) => relayAddress.replace('{ordinal}', String(ordinal))),
    announce: [`/ip4/${relayAddress}/tcp/4001`],
  };
}

/** Reads the URL of the tracker and the addresses of the relays from the config.toml in the notes. */
async function readNotes(namespace: Namespace): Promise<{ url: string; relays: string[] }> {
  const notes = await run('helm', ['get', 'notes', RELEASE, '--namespace', namespace.name]);
  const url = /^\s*trackers = \["([^"]+)"\]$/m.exec(notes)?.[1];
  if (url === undefined) throw new Error(`The notes have no tracker:\n${notes}`);
  const templates = [...notes.matchAll(/^[\s#]*relay_addr = "([^"]+)"/gm)].map(([, address = '']) => address);
  if (templates.length !== RELAYS)
    throw new Error(`The notes have ${templates.length} relays instead of ${RELAYS}:\n${notes}`);
  const relays = templates.map(async (template, ordinal) => {
    const pod = `${RELEASE}-relay-${ordinal}`;
    const peerId = await namespace.kubectl(
      'exec',
      pod,
      '--container=relay',
      '--',
      'node',
      '/app/relay.js',
      'peer-id',
    );
    const node = await namespace.kubectl('get', 'pod', pod, '--output=jsonpath={.status.hostIP}');
    return template.replace(/THE_PEER_ID_OF_RELAY_\d+/, peerId).replace(/THE_NODE_OF_RELAY_\d+/, node);
  });
  return { url, relays: await Promise.all(relays) };
}
