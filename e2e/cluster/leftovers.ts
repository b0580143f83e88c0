// What an uninstall left in a namespace.
import type { KubernetesObject, Namespace } from './kubernetes.ts';

/** Every kind that the charts make, and those that Kubernetes makes from them. */
const KINDS =
  'deployments,statefulsets,replicasets,pods,services,ingresses,horizontalpodautoscalers,poddisruptionbudgets,' +
  'networkpolicies,configmaps,secrets,serviceaccounts,persistentvolumeclaims,jobs';
/** Of every namespace. */
const OF_KUBERNETES = new Set(['ConfigMap/kube-root-ca.crt', 'ServiceAccount/default']);

/**
 * The objects of a release that are still there: those that Helm said it keeps, and those that it said nothing of. What
 * was in the namespace before, and what Kubernetes is about to collect, is neither.
 */
export async function leftOver(
  namespace: Namespace,
  said: string,
): Promise<{ kept: string[]; forgotten: string[] }> {
  const objects = (await namespace.list(KINDS)).filter((object) => isOurs(object));
  const names = objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
  const isSaid = (name: string): boolean => said.includes(`[${name.replace('/', '] ')}`);
  return { kept: names.filter(isSaid), forgotten: names.filter((name) => !isSaid(name)) };
}

function isOurs({ kind, metadata }: KubernetesObject): boolean {
  if (OF_KUBERNETES.has(`${kind}/${metadata.name}`)) return false;
  if (metadata.labels?.['app.kubernetes.io/part-of'] !== 'rustory-p2p') return false;
  return metadata.ownerReferences === undefined;
}
