// The ci values files of the charts, and the preparation of the cluster that each of them requires.
import { globSync, readFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { formatSwarmKey, generateSwarmKey } from '../../services/private-network/key.ts';
import { createNamespace, exists, type Namespace } from './kubernetes.ts';
import { startRedis, startSentinel } from './redis.ts';
import { makeCertificate, startRedisCluster } from './redis-cluster.ts';

const ROOT = join(import.meta.dirname, '../..');
export const UMBRELLA = join(ROOT, 'charts/rustory-p2p');

/** A chart with one of its ci values files. */
export interface Case {
  /** Such as `rustory-p2p/default`. */
  readonly name: string;
  readonly chart: string;
  readonly values: string;
}

export const CASES: readonly Case[] = [
  UMBRELLA,
  join(UMBRELLA, 'charts/tracker'),
  join(UMBRELLA, 'charts/relay'),
  join(UMBRELLA, 'charts/hub'),
].flatMap((chart) =>
  globSync(join(chart, 'ci/*-values.yaml'))
    .toSorted()
    .map((values) => ({ name: `${basename(chart)}/${basename(values, '-values.yaml')}`, chart, values })),
);

/** Prepares the cluster for a case. Returns further namespaces, which the caller must remove. */
type Preparation = (namespace: Namespace) => Promise<Namespace[]>;

const PASSWORD = 'a-test-password';
const DATABASES = 'databases';

const swarmKey: Preparation = async (namespace) => {
  await namespace.secret('rustory-swarm-key', { 'swarm.key': formatSwarmKey(generateSwarmKey()) });
  return [];
};

const trackerCertificate: Preparation = async (namespace) => {
  const { key, certificate } = makeCertificate('tracker.rustory.test');
  const data = { 'tls.key': key, 'tls.crt': certificate };
  const secret = { apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/tls', stringData: data };
  await namespace.apply({ ...secret, metadata: { name: 'tracker-tls' } });
  return [];
};

/** The Secrets of `existing-secrets-values.yaml`. */
const existingSecrets: Preparation = async (namespace) => {
  await swarmKey(namespace);
  await namespace.secret('rustory-identity', { seed: 'a test seed that is long enough for the relay' });
  await namespace.secret('rustory-tokens', { token: 'a-test-token' });
  await namespace.secret('rustory-redis', { password: PASSWORD });
  return [];
};

const hubToken: Preparation = async (namespace) => {
  const data = { 'token-ada': 'the-token-of-a-hub', tokens: 'the-token-of-a-hub user=ada hub' };
  await namespace.secret('rustory-hub-tokens', data);
  return [];
};

const PREPARATIONS: Readonly<Record<string, Preparation>> = {
  'rustory-p2p/cluster-redis': async (namespace) => {
    const databases = await createNamespace(DATABASES);
    const data = { 'ca.crt': await startRedisCluster(databases) };
    await namespace.apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'redis-ca' }, data });
    return [databases];
  },
  'rustory-p2p/existing-secrets': existingSecrets,
  'rustory-p2p/hub-existing-secrets': async (namespace) => {
    await namespace.secret('rustory-hub', { secret: 'a test secret that is long enough for the hub' });
    return [...(await existingSecrets(namespace)), ...(await hubToken(namespace))];
  },
  'rustory-p2p/external-redis': async (namespace) => {
    await namespace.secret('my-redis', { password: PASSWORD });
    const databases = await createNamespace(DATABASES);
    await startRedis(databases, PASSWORD);
    return [databases];
  },
  'rustory-p2p/sentinel': async (namespace) => {
    const databases = await createNamespace(DATABASES);
    const url = await startSentinel(databases, PASSWORD);
    await namespace.secret('my-redis', { url, 'sentinel-password': PASSWORD });
    return [databases];
  },
  'rustory-p2p/ingress-tls-secret': trackerCertificate,
  'rustory-p2p/tls': trackerCertificate,
  'rustory-p2p/relays-only': swarmKey,
  'relay/region': swarmKey,
  'hub/default': swarmKey,
  'hub/tokens': async (namespace) => [...(await swarmKey(namespace)), ...(await hubToken(namespace))],
  'tracker/shared-redis': async () => {
    const databases = await createNamespace(DATABASES);
    await startRedis(databases);
    return [databases];
  },
};

/** The requirement of a case that the cluster does not meet; `undefined` if it meets all. */
export async function missingRequirement({ values }: Case): Promise<string | undefined> {
  const text = readFileSync(values, 'utf8');
  if (/\b(?:service|pod)Monitor:/.test(text) && !(await exists('crd', 'podmonitors.monitoring.coreos.com')))
    return 'the Prometheus operator';
  if (/^tls:\n {2}issuer:/m.test(text) && !(await exists('crd', 'certificates.cert-manager.io')))
    return 'cert-manager';
  const storage = /storageClassName: (\S+)/.exec(text)?.[1];
  if (storage !== undefined && !(await exists('storageclass', storage)))
    return `the storage class ${storage}`;
  return undefined;
}

/** Prepares the namespace for a case. Returns the further namespaces that were made. */
export async function prepare({ name }: Case, namespace: Namespace): Promise<Namespace[]> {
  return (await PREPARATIONS[name]?.(namespace)) ?? [];
}

/** The path of a values file relative to the repository. */
export function shortPath(path: string): string {
  return relative(ROOT, path);
}
