// Installs and upgrades the umbrella chart in a stand-in for a cluster.
import { helm, type KubernetesObject, parseObjects, UMBRELLA, type Values } from '../../testing/charts.ts';
import type { FakeCluster } from '../../testing/kubernetes-api.ts';

/** Returns a function that renders the chart with the objects of the cluster, and stores its Secrets there. */
export function deployTo(cluster: FakeCluster) {
  return async (values: Values): Promise<KubernetesObject[]> => {
    const options = ['--dry-run=server', '--disable-openapi-validation'];
    const args = ['template', 'rustory', UMBRELLA, '--namespace=p2p', ...options, '--values=-'];
    const { code, stdout, stderr } = await helm(args, values, cluster.kubeconfig);
    if (code !== 0) throw new Error(stderr);
    const objects = parseObjects(stdout);
    for (const object of objects.filter(({ kind }) => kind === 'Secret')) cluster.store(object);
    return objects;
  };
}
