// kubectl and helm in one namespace of the run.
import { attempt, type CommandResult, run } from '../../testing/command.ts';

/** Every release of the run has this name, as in the README. */
export const RELEASE = 'rustory-p2p';
/** How long Helm may wait for pods to be ready; they are within seconds, unless the machine is busy. */
const HELM_TIMEOUT = '4m';
const HELM_PATIENCE_MS = 5 * 60_000;
/** Marks the namespaces that the run made, so that it deletes no other. */
const OWNER = 'rustory.dev/e2e';

export interface KubernetesObject {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly labels?: Record<string, string>;
    readonly annotations?: Record<string, string>;
    readonly ownerReferences?: readonly unknown[];
  };
  readonly spec?: Record<string, unknown>;
  readonly status?: Record<string, unknown>;
  readonly data?: Record<string, string>;
}

export interface Namespace {
  readonly name: string;
  kubectl(...args: string[]): Promise<string>;
  /** Everything of a kind, or of kinds separated by commas. */
  list(kinds: string, selector?: string): Promise<KubernetesObject[]>;
  apply(...objects: object[]): Promise<void>;
  secret(name: string, data: Record<string, string>): Promise<void>;
  /** One value of a Secret. */
  readSecret(name: string, key: string): Promise<string>;
  install(chart: string, values: readonly string[], set?: readonly string[]): Promise<void>;
  upgrade(chart: string, values: readonly string[], set?: readonly string[]): Promise<void>;
  test(): Promise<string>;
  /** Answers what Helm said, which names what it keeps. */
  uninstall(): Promise<string>;
  remove(): Promise<void>;
}

/** Makes a namespace that only takes pods of the restricted Pod Security Standard. */
export async function createNamespace(name: string, standard = 'restricted'): Promise<Namespace> {
  const there = await attempt('kubectl', ['get', 'namespace', name, '--output=json']);
  if (there.code === 0) {
    const { metadata } = JSON.parse(there.stdout) as KubernetesObject;
    if (metadata.labels?.[OWNER] !== 'true') throw new Error(`the namespace ${name} is not ours to use`);
    await run('kubectl', ['delete', 'namespace', name], { patienceMs: HELM_PATIENCE_MS });
  }
  const labels = { [OWNER]: 'true', 'pod-security.kubernetes.io/enforce': standard };
  const object = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
  await run('kubectl', ['create', '--filename=-'], { input: JSON.stringify(object) });
  return namespaceOf(name);
}

function namespaceOf(name: string): Namespace {
  const kubectl = async (...args: string[]): Promise<string> =>
    run('kubectl', ['--namespace', name, ...args], { patienceMs: HELM_PATIENCE_MS });
  const helm = async (...args: string[]): Promise<string> =>
    run('helm', [...args, '--namespace', name], { patienceMs: HELM_PATIENCE_MS });
  const release = async (
    verb: string,
    chart: string,
    values: readonly string[],
    set: readonly string[] = [],
  ) => {
    const given = [...values.map((file) => `--values=${file}`), ...set.map((value) => `--set=${value}`)];
    await helm(verb, RELEASE, chart, ...given, '--wait', `--timeout=${HELM_TIMEOUT}`);
  };
  const apply = async (...objects: object[]): Promise<void> => {
    const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
    await run('kubectl', ['--namespace', name, 'apply', '--filename=-'], { input });
  };
  return {
    name,
    kubectl,
    async list(kinds, selector) {
      const by = selector === undefined ? [] : [`--selector=${selector}`];
      const { items } = JSON.parse(await kubectl('get', kinds, ...by, '--output=json')) as {
        items: KubernetesObject[];
      };
      return items;
    },
    apply,
    secret: async (secret, data) =>
      apply({ apiVersion: 'v1', kind: 'Secret', metadata: { name: secret }, stringData: data }),
    async readSecret(secret, key) {
      const { data } = JSON.parse(
        await kubectl('get', 'secret', secret, '--output=json'),
      ) as KubernetesObject;
      return Buffer.from(data?.[key] ?? '', 'base64').toString('utf8');
    },
    install: async (chart, values, set) => release('install', chart, values, set),
    upgrade: async (chart, values, set) => release('upgrade', chart, values, set),
    test: async () => helm('test', RELEASE, '--logs', `--timeout=${HELM_TIMEOUT}`),
    uninstall: async () => helm('uninstall', RELEASE, '--wait', `--timeout=${HELM_TIMEOUT}`),
    remove: async () => void (await kubectl('delete', 'namespace', name, '--ignore-not-found')),
  };
}

/** Whether the cluster knows something; such as a kind, or a class. */
export async function isThere(...args: string[]): Promise<boolean> {
  const { code }: CommandResult = await attempt('kubectl', ['get', ...args]);
  return code === 0;
}
