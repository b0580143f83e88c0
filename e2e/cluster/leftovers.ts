// What an uninstall left in a namespace.
import type { Checks } from '../../testing/checks.ts';
import { until } from '../../testing/wait.ts';
import type { ClusterGrid } from './network.ts';
import type { KubernetesObject, Namespace } from './kubernetes.ts';
import { register } from './registrar.ts';
import { secretsOf } from './upgrade.ts';

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

/** An uninstall and an install again: what was kept is taken up, so that devices need not be told anything new. */
export async function checkLeftovers(checks: Checks, grid: ClusterGrid): Promise<void> {
  const before = await secretsOf(grid, 'kept');
  await checks.check('helm uninstall leaves only the secrets that it says it keeps', async () => {
    const said = await grid.namespace.uninstall();
    const { kept, forgotten } = await leftOver(grid.namespace, said);
    if (forgotten.length > 0) throw new Error(`left behind: ${forgotten.join(', ')}`);
    if (kept.length === 0 || !kept.every((name) => name.startsWith('Secret/')))
      throw new Error(kept.join(', '));
    return kept.join(', ');
  });
  await checks.check(
    'installed again, it takes up what was kept, so that devices work as before',
    async () => {
      await grid.install();
      if ((await secretsOf(grid, 'kept')) !== before) throw new Error('a secret has changed');
      // The Ingress controller takes it up within some seconds.
      await until(async () => (await register(grid, 'again')) === undefined, 'a device registers again');
    },
  );
}
