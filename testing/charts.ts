// Renders the charts as an install would, with helm itself. Each set of values is rendered once in a test file.
import { execFile } from 'node:child_process';
import { readFileSync, globSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll } from '@jest/globals';
import { parse, parseAllDocuments } from 'yaml';
import { ensureHelm } from './helm.ts';

const ROOT = join(import.meta.dirname, '..');

export const UMBRELLA = 'charts/rustory-p2p';
export const TRACKER = `${UMBRELLA}/charts/tracker`;
export const RELAY = `${UMBRELLA}/charts/relay`;
export const CHARTS = [UMBRELLA, TRACKER, RELAY];

/** How long the first use of helm may take, which fetches it, in milliseconds. */
const FETCH_TIMEOUT_MS = 240_000;

beforeAll(() => void ensureHelm(), FETCH_TIMEOUT_MS);

/** How long helm may take, in milliseconds; it takes a tenth of a second. */
const HELM_TIMEOUT_MS = 30_000;

/** Most bytes that helm may print: a release with its chart. */
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/** Any part of an object, or nothing where a path leads nowhere. */
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
  /** What helm prints after the install. */
  readonly notes: string;
  /** The one object of that kind, and of that name where there are several. @throws when there is none, or more. */
  only(kind: string, name?: string): KubernetesObject;
  all(kind: string): readonly KubernetesObject[];
}

/** A file of values in a chart's `ci` folder: one way to install it. */
export interface Case {
  readonly chart: string;
  /** Such as `loadbalancer`. */
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

export interface HelmResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs helm in the root of the repository, with values from its standard input where `--values -` asks for them. */
export async function helm(args: readonly string[], values?: Values): Promise<HelmResult> {
  const options = {
    cwd: ROOT,
    timeout: HELM_TIMEOUT_MS,
    maxBuffer: MAX_OUTPUT_BYTES,
    env: { PATH: process.env['PATH'], HOME: '/nonexistent' },
  };
  const running = promisify(execFile)(join(ensureHelm(), 'helm'), [...args], options);
  running.child.stdin?.end(JSON.stringify(values ?? {}));
  try {
    return { code: 0, ...(await running) };
  } catch (error) {
    const { code, stdout, stderr } = error as { code?: unknown; stdout?: string; stderr?: string };
    if (typeof code !== 'number') throw error;
    return { code, stdout: stdout ?? '', stderr: stderr ?? '' };
  }
}

const releases = new Map<string, Promise<Release>>();

/** What an install of the chart would bring, as `rustory` into the namespace `grid`. Secrets that values leave open are given. */
export async function render(chart: string, values: Values = {}): Promise<Release> {
  const key = `${chart} ${JSON.stringify(values)}`;
  let release = releases.get(key);
  if (release === undefined) {
    release = install(chart, merge(givenSecrets(chart, values), values));
    releases.set(key, release);
  }
  return release;
}

/** Why the chart cannot be installed with these values. @throws when it can. */
export async function renderError(chart: string, values: Values): Promise<string> {
  const { code, stderr } = await helm(dryRun(chart), merge(givenSecrets(chart, values), values));
  if (code === 0) throw new Error(`${chart} took ${JSON.stringify(values)}`);
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
        throw new Error(`${found.length} objects ${kind} ${name ?? ''} in ${chart}`);
      return first;
    },
  };
}

function parseObjects(text: string): KubernetesObject[] {
  // YAML 1.1, as Kubernetes reads it: 0440 is octal, «yes» and «no» are booleans.
  return parseAllDocuments(text, { version: '1.1', merge: true }).flatMap((document) => {
    if (document.errors.length > 0) throw document.errors[0] ?? new Error('no YAML');
    const object = document.toJS() as KubernetesObject | null;
    return object === null ? [] : [object];
  });
}

/** Follows keys and positions into an object; undefined where they lead nowhere. */
export function valueAt(tree: unknown, ...path: ReadonlyArray<string | number>): unknown {
  return path.reduce<unknown>(
    (node, key) =>
      typeof node === 'object' && node !== null ? (node as Record<string | number, unknown>)[key] : undefined,
    tree,
  );
}

/** Where the pods of an object are described; undefined for objects without pods. */
export function podSpec(object: KubernetesObject): unknown {
  return object.kind === 'Pod' ? valueAt(object, 'spec') : valueAt(object, 'spec', 'template', 'spec');
}

/** The environment of an object's only container; variables with a source instead of a value are left out. */
export function environment(object: KubernetesObject): Record<string, unknown> {
  const variables = valueAt(podSpec(object), 'containers', 0, 'env') as Array<{ name: string; value?: unknown }>;
  return Object.fromEntries(
    variables.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]])),
  );
}

/** Without a cluster the charts generate nothing, so tests give what the values do not take from a Secret. */
function givenSecrets(chart: string, values: Values): Values {
  const of = (name: string): Values => (chart === UMBRELLA ? ((valueAt(values, name) ?? {}) as Values) : values);
  const asksToken = valueAt(of('tracker'), 'auth', 'enabled') !== false;
  const tracker = {
    ...(asksToken && !valueAt(of('tracker'), 'auth', 'existingSecret') && { auth: { tokens: [TOKEN] } }),
  };
  const relay = {
    ...(!valueAt(of('relay'), 'swarmKey', 'existingSecret') && { swarmKey: { value: SWARM_KEY_DIGITS } }),
    ...(!valueAt(of('relay'), 'identity', 'existingSecret') && { identity: { seed: SEED } }),
  };
  if (chart === TRACKER) return tracker;
  if (chart === RELAY) return relay;
  const asksPassword = !valueAt(of('tracker'), 'bundledRedis', 'existingSecret');
  return { tracker: { ...tracker, ...(asksPassword && { bundledRedis: { password: PASSWORD } }) }, relay };
}

export const TOKEN = 'a-token-for-the-tests';
export const SWARM_KEY_DIGITS = '5a'.repeat(32);
export const SEED = 'a-seed-for-the-tests-of-32-bytes-and-more';
export const PASSWORD = 'a-password-for-the-tests';

function isTree(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Objects are merged, all else is replaced, as helm does with several files of values. */
export function merge(base: Values, over: Values): Values {
  return Object.fromEntries(
    Object.keys({ ...base, ...over }).map((key) => {
      const [a, b] = [base[key], over[key]];
      return [key, isTree(a) && isTree(b) ? merge(a, b) : (b ?? a)];
    }),
  );
}
