// Runs kubectl and helm in a namespace that this run made.
import { attempt, type CommandResult, run } from '../../testing/command.ts';

/** The name of every release, as in the README. */
export const RELEASE = 'rustory-p2p';
/** Time that Helm waits for ready pods. */
const HELM_TIMEOUT = '4m';
/** Timeout of one command, in milliseconds; longer than Helm waits. */
const COMMAND_TIMEOUT_MS = 5 * 60_000;
/** The label of the namespaces of this test, so that it deletes no other. */
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
  helm(...args: string[]): Promise<string>;
  /** All objects of a kind, or of several kinds separated by commas. */
  list(kinds: string, selector?: string): Promise<KubernetesObject[]>;
  apply(...objects: object[]): Promise<void>;
  secret(name: string, data: Record<string, string>): Promise<void>;
  /** The value of one key of a Secret. */
  readSecret(name: string, key: string): Promise<string>;
  install(chart: string, values: readonly string[], set?: readonly string[]): Promise<void>;
  upgrade(chart: string, values: readonly string[], set?: readonly string[]): Promise<void>;
  test(): Promise<string>;
  /** Returns the output of Helm, which names the objects that it keeps. */
  uninstall(): Promise<string>;
  remove(): Promise<void>;
}

/** Makes a namespace that enforces a Pod Security Standard. An old namespace of this test is deleted first. */
export async function createNamespace(name: string, standard = 'restricted'): Promise<Namespace> {
  const existing = await attempt('kubectl', ['get', 'namespace', name, '--output=json']);
  if (existing.code === 0) {
    const { metadata } = JSON.parse(existing.stdout) as KubernetesObject;
    if (metadata.labels?.[OWNER] !== 'true')
      throw new Error(
        `The namespace ${name} exists and has no label ${OWNER}=true: rename or delete it, because this test uses its name.`,
      );
    await run('kubectl', ['delete', 'namespace', name], { timeoutMs: COMMAND_TIMEOUT_MS });
  }
  const labels = { [OWNER]: 'true', 'pod-security.kubernetes.io/enforce': standard };
  const object = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
  await run('kubectl', ['create', '--filename=-'], { input: JSON.stringify(object) });
  return namespaceOf(name);
}

function namespaceOf(name: string): Namespace {
  const kubectl = async (...args: string[]): Promise<string> =>
    run('kubectl', ['--namespace', name, ...args], { timeoutMs: COMMAND_TIMEOUT_MS });
  const helm = async (...args: string[]): Promise<string> =>
    run('helm', [...args, '--namespace', name], { timeoutMs: COMMAND_TIMEOUT_MS });
  const release = async (
    command: string,
    chart: string,
    values: readonly string[],
    set: readonly string[] = [],
  ) => {
    const options = [...values.map((file) => `--values=${file}`), ...set.map((value) => `--set=${value}`)];
    await helm(command, RELEASE, chart, ...options, '--wait', `--timeout=${HELM_TIMEOUT}`);
  };
  const apply = async (...objects: object[]): Promise<void> => {
    const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
    await run('kubectl', ['--namespace', name, 'apply', '--filename=-'], { input });
  };
  return {
    name,
    kubectl,
    helm,
    async list(kinds, selector) {
      const options = selector === undefined ? [] : [`--selector=${selector}`];
      const { items } = JSON.parse(await kubectl('get', kinds, ...options, '--output=json')) as {
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

/** Whether `kubectl get` finds an object, such as a custom resource definition or a storage class. */
export async function exists(...args: string[]): Promise<boolean> {
  const { code }: CommandResult = await attempt('kubectl', ['get', ...args]);
  return code === 0;
}
