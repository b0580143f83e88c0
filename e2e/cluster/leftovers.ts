// Scenario `leftovers`: checks the objects that remain after an uninstall, and that a new install uses them.
import type { Checks } from '../../testing/checks.ts';
import { until } from '../../testing/wait.ts';
import type { ClusterNetwork } from './network.ts';
import type { KubernetesObject, Namespace } from './kubernetes.ts';
import { register } from './registrar.ts';
import { secretsOf } from './upgrade.ts';

/** Every kind that the charts create, and the kinds that Kubernetes creates for them. */
const KINDS =
  'deployments,statefulsets,replicasets,pods,services,ingresses,horizontalpodautoscalers,poddisruptionbudgets,' +
  'networkpolicies,configmaps,secrets,serviceaccounts,persistentvolumeclaims,jobs';
/** Objects that Kubernetes creates in every namespace. */
const DEFAULT_OBJECTS = new Set(['ConfigMap/kube-root-ca.crt', 'ServiceAccount/default']);

/**
 * The objects of a release that remain after an uninstall: `kept` have the annotation that makes Helm keep them, or are
 * named in the output of Helm, or are volumes of hubs; `leaked` are the others. Helm does not name generated Secrets, which are no objects of the release.
 * Objects that the charts did not create, and objects that Kubernetes will garbage-collect, do not count.
 */
export async function remainingObjects(
  namespace: Namespace,
  helmOutput: string,
): Promise<{ kept: string[]; leaked: string[] }> {
  const objects = (await namespace.list(KINDS)).filter((object) => isFromChart(object));
  const isKept = ({ kind, metadata }: KubernetesObject): boolean =>
    metadata.annotations?.['helm.sh/resource-policy'] === 'keep' ||
    isVolumeOfHub({ kind, metadata }) ||
    helmOutput.includes(`[${kind}] ${metadata.name}`);
  return {
    kept: namesOf(objects.filter(isKept)),
    leaked: namesOf(objects.filter((object) => !isKept(object))),
  };
}

function namesOf(objects: readonly KubernetesObject[]): string[] {
  return objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
}

function isFromChart({ kind, metadata }: KubernetesObject): boolean {
  if (DEFAULT_OBJECTS.has(`${kind}/${metadata.name}`)) return false;
  if (isVolumeOfHub({ kind, metadata })) return true;
  if (metadata.labels?.['app.kubernetes.io/part-of'] !== 'rustory-p2p') return false;
  return metadata.ownerReferences === undefined;
}

/** Kubernetes makes the volumes of a StatefulSet, with only the labels that select its pods, and keeps those of hubs. */
function isVolumeOfHub({ kind, metadata }: Pick<KubernetesObject, 'kind' | 'metadata'>): boolean {
  return kind === 'PersistentVolumeClaim' && metadata.labels?.['app.kubernetes.io/name'] === 'hub';
}

export async function checkLeftovers(checks: Checks, network: ClusterNetwork): Promise<void> {
  const before = await secretsOf(network, 'kept');
  await checks.check('helm uninstall leaves only the Secrets that Helm keeps', async () => {
    const output = await network.namespace.uninstall();
    const { kept, leaked } = await remainingObjects(network.namespace, output);
    if (leaked.length > 0) throw new Error(`These objects remain after the uninstall: ${leaked.join(', ')}.`);
    if (kept.length === 0 || !kept.every((name) => name.startsWith('Secret/')))
      throw new Error(`Helm must keep Secrets and nothing else; it kept: ${kept.join(', ') || 'nothing'}.`);
    return kept.join(', ');
  });
  await checks.check(
    'a new install uses the kept Secrets, and devices need no new configuration',
    async () => {
      await network.install();
      if ((await secretsOf(network, 'kept')) !== before) throw new Error('A kept Secret has changed.');
      // The Ingress controller applies the new route after a few seconds.
      await until(async () => (await register(network, 'again')).ok, 'a device registers again');
    },
  );
}
