// A grid for devices outside the cluster, and what such a device is configured with: all of it from the notes that Helm
// prints and from the Secrets that they name.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../testing/command.ts';
import { UMBRELLA } from './cases.ts';
import { createNamespace, type Namespace, RELEASE } from './kubernetes.ts';
import type { Options } from './options.ts';

/** Two, so that a device has where to go while one is replaced. */
const RELAYS = 2;
const NODE_PORT = 30_440;
const SWARM_KEY_SECRET = `${RELEASE}-relay-swarm-key`;
const TOKEN_SECRET = `${RELEASE}-tracker-tokens`;

export interface ClusterGrid {
  readonly namespace: Namespace;
  readonly host: string;
  readonly tracker: { readonly url: string };
  readonly token: string;
  /** The address of each relay with its peer id, as devices are told. */
  readonly relays: readonly string[];
  /** Of the devices, with the swarm key. */
  readonly folder: string;
  /** Installs the same again, with annotations that make every pod anew. */
  upgrade(round: string): Promise<void>;
  install(): Promise<void>;
  close(): Promise<void>;
}

/** Installs a grid that devices outside can reach. */
export async function createClusterGrid(options: Options): Promise<ClusterGrid> {
  const folder = await mkdtemp(join(tmpdir(), 'rustory-cluster-'));
  const values = async (round: string): Promise<string[]> => {
    const path = join(folder, 'values.json');
    await writeFile(path, JSON.stringify(valuesOf(options, round)));
    return [path, ...options.values];
  };
  const namespace = await createNamespace('rustory-grid');
  const install = async (): Promise<void> => namespace.install(UMBRELLA, await values('first'));
  const close = async (): Promise<void> => {
    await namespace.remove();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await install();
    const found = await readGrid(namespace, folder);
    const upgrade = async (round: string): Promise<void> => namespace.upgrade(UMBRELLA, await values(round));
    return { namespace, host: options.host, folder, ...found, install, upgrade, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What devices are told, by the notes and the Secrets that they name. */
async function readGrid(namespace: Namespace, folder: string) {
  await writeFile(join(folder, 'swarm.key'), await namespace.readSecret(SWARM_KEY_SECRET, 'swarm.key'), {
    mode: 0o600,
  });
  const { url, relays } = await readNotes(namespace);
  const token = (await namespace.readSecret(TOKEN_SECRET, 'token')).trim();
  return { tracker: { url }, token, relays };
}

function valuesOf({ host, relayAddress }: Options, round: string): object {
  const podAnnotations = { 'rustory.dev/round': round };
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
      nodePorts: ordinals.map((ordinal) => NODE_PORT + ordinal),
      announce: [`/ip4/{hostIP}/tcp/${String(NODE_PORT).slice(0, -1)}{ordinal}`],
    };
  return {
    expose: 'LoadBalancer',
    loadBalancerIPs: ordinals.map((ordinal) => relayAddress.replace('{ordinal}', String(ordinal))),
    announce: [`/ip4/${relayAddress}/tcp/4001`],
  };
}

/** The URL of the tracker and the addresses of the relays, from the lines of config.toml that the notes show. */
async function readNotes(namespace: Namespace): Promise<{ url: string; relays: string[] }> {
  const notes = await run('helm', ['get', 'notes', RELEASE, '--namespace', namespace.name]);
  const url = /^\s*trackers = \["([^"]+)"\]$/m.exec(notes)?.[1];
  if (url === undefined) throw new Error(`the notes name no tracker:\n${notes}`);
  const templates = [...notes.matchAll(/^[\s#]*relay_addr = "([^"]+)"/gm)].map(([, address = '']) => address);
  if (templates.length !== RELAYS) throw new Error(`the notes name ${templates.length} relays:\n${notes}`);
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
