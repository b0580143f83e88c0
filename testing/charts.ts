// Renders the charts with Helm, like an install. Each set of values is rendered once per test file.
import { readFileSync, globSync } from 'node:fs';
import { basename, join } from 'node:path';

import { beforeAll } from '@jest/globals';
import { parse, parseAllDocuments } from 'yaml';
import { attempt, type CommandResult } from './command.ts';
import { ensureHelm } from './helm.ts';

const ROOT = join(import.meta.dirname, '..');

export const UMBRELLA = 'charts/rustory-p2p';
export const TRACKER = `${UMBRELLA}/charts/tracker`;
export const RELAY = `${UMBRELLA}/charts/relay`;
export const HUB = `${UMBRELLA}/charts/hub`;
export const CHARTS = [UMBRELLA, TRACKER, RELAY, HUB];

/** Deadline of the first use of Helm in milliseconds, which downloads it. */
const FETCH_TIMEOUT_MS = 240_000;

beforeAll(async () => void (await ensureHelm()), FETCH_TIMEOUT_MS);

/** Deadline of one run of Helm in milliseconds. A run takes about 0.1 seconds. */
const HELM_TIMEOUT_MS = 60_000;

/** A node of an object. */
export type Tree = Readonly<Record<string, unknown>>;

export interface KubernetesObject extends Tree {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

export type Values = Readonly<Record<string, unknown>>;

export interface Release {
  readonly objects: readonly KubernetesObject[];
  /** The notes that Helm prints after the install. */
  readonly notes: string;
  /** The only object of the kind, and of the name if given. @throws Error when there is not exactly one. */
  only(kind: string, name?: string): KubernetesObject;
  all(kind: string): readonly KubernetesObject[];
}

/** A file of values in the `ci` directory of a chart. */
export interface Case {
  readonly chart: string;
  /** For example `loadbalancer`. */
  readonly name: string;
  readonly values: Values;
}

export const CASES: readonly Case[] = CHARTS.flatMap((chart) =>
  globSync(join(ROOT, chart, 'ci/*-values.yaml'))
    .toSorted()
    .map((path) => ({
      chart,
      name: basename(path, '-values.yaml'),
      values: parse(readFileSync(path, 'utf8')) as Values,
    })),
);

/** Runs Helm in the root of the repository. `values` are its standard input, for `--values=-`. */
export async function helm(
  args: readonly string[],
  values?: Values,
  kubeconfig?: string,
): Promise<CommandResult> {
  return attempt(join(await ensureHelm(), 'helm'), args, {
    cwd: ROOT,
    timeoutMs: HELM_TIMEOUT_MS,
    input: JSON.stringify(values ?? {}),
    // No configuration of the user.
    env: { HOME: '/nonexistent', KUBECONFIG: kubeconfig },
  });
}

const releases = new Map<string, Promise<Release>>();

/**
 * Renders the chart as release `rustory` in the namespace `p2p`. Secrets that the values do not set are added.
 *
 * @param source Directory or archive to render, by default the directory of the chart.
 */
export async function render(chart: string, values: Values = {}, source: string = chart): Promise<Release> {
  const key = `${source} ${JSON.stringify(values)}`;
  let release = releases.get(key);
  if (release === undefined) {
    release = install(source, merge(givenSecrets(chart, values), values));
    releases.set(key, release);
  }
  return release;
}

/** The error of Helm for these values. @throws Error when the chart renders. */
export async function renderError(chart: string, values: Values): Promise<string> {
  const { code, stderr } = await helm(dryRun(chart), merge(givenSecrets(chart, values), values));
  if (code === 0) throw new Error(`${chart} accepts ${JSON.stringify(values)}.`);
  return stderr;
}

export async function renderCase({ chart, values }: Case): Promise<Release> {
  return render(chart, values);
}

function dryRun(chart: string): string[] {
  return ['install', 'rustory', chart, '--namespace=p2p', '--dry-run=client', '--output=json', '--values=-'];
}

async function install(chart: string, values: Values): Promise<Release> {
  const { code, stdout, stderr } = await helm(dryRun(chart), values);
  if (code !== 0) throw new Error(stderr);
  const { manifest, hooks, info } = JSON.parse(stdout) as {
    manifest: string;
    hooks: ReadonlyArray<{ manifest: string }> | null;
    info: { notes?: string };
  };
  const texts = [manifest, ...(hooks ?? []).map((hook) => hook.manifest)];
  const objects = texts.flatMap(parseObjects);
  const all = (kind: string): KubernetesObject[] => objects.filter((object) => object.kind === kind);
  return {
    objects,
    notes: info.notes ?? '',
    all,
    only(kind, name) {
      const found = all(kind).filter(({ metadata }) => name === undefined || metadata.name === name);
      const [first] = found;
      if (first === undefined || found.length > 1)
        throw new Error(`${chart} has ${found.length} objects of kind ${kind} ${name ?? ''}.`);
      return first;
    },
  };
}

export function parseObjects(text: string): KubernetesObject[] {
  // YAML 1.1 like Kubernetes: 0440 is octal, `yes` and `no` are booleans.
  return parseAllDocuments(text, { version: '1.1', merge: true }).flatMap((document) => {
    if (document.errors.length > 0) throw document.errors[0] ?? new Error('The output of Helm is not YAML.');
    const object = document.toJS() as KubernetesObject | null;
    return object === null ? [] : [object];
  });
}

/** The value at a path of keys and indexes; undefined when the path does not exist. */
export function valueAt(tree: unknown, ...path: ReadonlyArray<string | number>): unknown {
  return path.reduce<unknown>(
    (node, key) =>
      typeof node === 'object' && node !== null ? (node as Record<string | number, unknown>)[key] : undefined,
    tree,
  );
}

/** The pod specification of an object; undefined for objects without pods. */
export function podSpec(object: KubernetesObject): unknown {
  return object.kind === 'Pod' ? valueAt(object, 'spec') : valueAt(object, 'spec', 'template', 'spec');
}

/** Environment variables of the only container of an object, without those that have a source instead of a value. */
export function environment(object: KubernetesObject): Record<string, unknown> {
  const variables = valueAt(podSpec(object), 'containers', 0, 'env') as Array<{
    name: string;
    value?: unknown;
  }>;
  return Object.fromEntries(
    variables.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]])),
  );
}

/** The Secret or ConfigMap, and the key, of a file in the only container of an object: `NAME/KEY`. @throws Error when no volume contains the file. */
export function sourceOfFile(object: KubernetesObject, path: string): string {
  const spec = podSpec(object);
  const mounts = valueAt(spec, 'containers', 0, 'volumeMounts') as ReadonlyArray<{
    name: string;
    mountPath: string;
  }>;
  const mount = mounts.find(({ mountPath }) => path === mountPath || path.startsWith(`${mountPath}/`));
  const volume = (valueAt(spec, 'volumes') as ReadonlyArray<{ name: string }>).find(
    ({ name }) => name === mount?.name,
  );
  if (mount === undefined || volume === undefined) throw new Error(`${path} is in no volume of the pod.`);
  const name = valueAt(volume, 'secret', 'secretName') ?? valueAt(volume, 'configMap', 'name');
  const file = path.slice(mount.mountPath.length + 1);
  const items = valueAt(volume, 'secret', 'items') as
    | ReadonlyArray<{ key: string; path: string }>
    | undefined;
  if (items === undefined) return `${String(name)}/${file}`;
  const item = items.find((candidate) => candidate.path === file);
  if (item === undefined) throw new Error(`${path} is not a file of the volume ${volume.name}.`);
  return `${String(name)}/${item.key}`;
}

/**
 * Without a cluster the charts generate no Secrets, so tests set all that the values do not take from a Secret. The chart
 * of the hub alone also requires a user and a network.
 */
function givenSecrets(chart: string, values: Values): Values {
  if (chart === HUB) return { ...HUB_ALONE, ...(!values['existingSecret'] && { secret: SEED }) };
  const of = (name: string): Values =>
    chart === UMBRELLA ? ((valueAt(values, name) ?? {}) as Values) : values;
  const needsToken = valueAt(of('tracker'), 'auth', 'enabled') !== false;
  const tracker = {
    ...(needsToken && !valueAt(of('tracker'), 'auth', 'existingSecret') && { auth: { tokens: [TOKEN] } }),
  };
  const relay = {
    ...(!valueAt(of('relay'), 'swarmKey', 'existingSecret') && { swarmKey: { value: SWARM_KEY_DIGITS } }),
    ...(!valueAt(of('relay'), 'identity', 'existingSecret') && { identity: { seed: SEED } }),
  };
  if (chart === TRACKER) return tracker;
  if (chart === RELAY) return relay;
  const needsPassword = !valueAt(of('tracker'), 'bundledRedis', 'existingSecret');
  const hub = {
    ...(!valueAt(of('hub'), 'existingSecret') && { secret: SEED }),
    ...(needsToken && { tokens: { existingSecret: HUB_TOKENS } }),
  };
  return {
    tracker: { ...tracker, ...(needsPassword && { bundledRedis: { password: PASSWORD } }) },
    relay,
    ...(valueAt(of('hub'), 'enabled') === true && { hub }),
  };
}

/** The Secret with the tokens of hubs, which no value can contain. */
export const HUB_TOKENS = 'tokens-of-the-hubs';
export const HUB_ALONE = {
  users: [{ name: 'ada', userId: 'ada' }],
  network: {
    trackers: ['https://tracker.example.org'],
    relays: ['/dns4/relay.example.org/tcp/4001/p2p/12D3KooWSipeVpkq7qQriPZhzhxkp6gPPnZQ5DNNEdDTXNUaojRn'],
    swarmKeySecret: 'swarm-key',
  },
};

export const TOKEN = 'a-token-for-the-tests';
export const SWARM_KEY_DIGITS = '5a'.repeat(32);
export const SEED = 'a-seed-for-the-tests-of-32-bytes-and-more';
export const PASSWORD = 'a-password-for-the-tests';

function isTree(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Merges objects and replaces other values, like Helm with several files of values. */
export function merge(base: Values, over: Values): Values {
  return Object.fromEntries(
    Object.keys({ ...base, ...over }).map((key) => {
      const [a, b] = [base[key], over[key]];
      return [key, isTree(a) && isTree(b) ? merge(a, b) : (b ?? a)];
    }),
  );
}
