// A stand-in for the API server of Kubernetes, with as much of it as `lookup` in a chart needs: discovery, and the objects
// that a test has stored. `helm template --dry-run=server` renders a chart with it as with a cluster.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KubernetesObject } from './charts.ts';

/** The kinds of objects in the charts, by the path of their API group. Helm must know the kind of each object. */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  '/api/v1': ['Secret', 'ConfigMap', 'Service', 'ServiceAccount', 'Pod'],
  '/apis/apps/v1': ['Deployment', 'StatefulSet'],
  '/apis/autoscaling/v2': ['HorizontalPodAutoscaler'],
  '/apis/networking.k8s.io/v1': ['Ingress', 'NetworkPolicy'],
  '/apis/policy/v1': ['PodDisruptionBudget'],
};

/** The name of a kind in paths. */
function pluralOf(kind: string): string {
  const name = kind.toLowerCase();
  return name.endsWith('s') ? `${name}es` : name.replace(/y$/, 'ie') + 's';
}

function keyOf(kind: string, name: string): string {
  return `${pluralOf(kind)}/${name}`;
}

export interface FakeCluster {
  /** Path of a kubeconfig file for Helm. */
  readonly kubeconfig: string;
  /** Stores an object, as an install or a user does. */
  store(object: KubernetesObject): void;
  remove(kind: string, name: string): void;
  get(kind: string, name: string): KubernetesObject | undefined;
  close(): Promise<void>;
}

export async function startFakeCluster(): Promise<FakeCluster> {
  const objects = new Map<string, KubernetesObject>();
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://cluster').pathname;
    const answer = discovery(path) ?? stored(objects, path);
    response.writeHead(answer === undefined ? 404 : 200, { 'Content-Type': 'application/json' });
    response.end(JSON.stringify(answer ?? notFound(path)));
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const folder = mkdtempSync(join(tmpdir(), 'rustory-cluster-'));
  const kubeconfig = join(folder, 'kubeconfig');
  const { port } = server.address() as AddressInfo;
  writeFileSync(kubeconfig, JSON.stringify(configOf(`http://127.0.0.1:${port}`)));
  return {
    kubeconfig,
    store: (object) => void objects.set(keyOf(object.kind, object.metadata.name), object),
    remove: (kind, name) => void objects.delete(keyOf(kind, name)),
    get: (kind, name) => objects.get(keyOf(kind, name)),
    async close() {
      rmSync(folder, { recursive: true, force: true });
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}

function configOf(server: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'fake', cluster: { server } }],
    users: [{ name: 'fake', user: {} }],
    contexts: [{ name: 'fake', context: { cluster: 'fake', user: 'fake' } }],
    'current-context': 'fake',
  };
}

function discovery(path: string): object | undefined {
  if (path === '/version') return { major: '1', minor: '36', gitVersion: 'v1.36.0' };
  if (path === '/api') return { kind: 'APIVersions', versions: ['v1'] };
  if (path === '/apis') {
    const groups = Object.keys(GROUPS)
      .filter((group) => group.startsWith('/apis/'))
      .map((group) => {
        const [, , name = '', version = ''] = group.split('/');
        const named = { groupVersion: `${name}/${version}`, version };
        return { name, versions: [named], preferredVersion: named };
      });
    return { kind: 'APIGroupList', apiVersion: 'v1', groups };
  }
  const kinds = GROUPS[path];
  if (kinds === undefined) return undefined;
  const resources = kinds.map((kind) => ({
    name: pluralOf(kind),
    singularName: kind.toLowerCase(),
    namespaced: true,
    kind,
    verbs: ['get', 'list'],
  }));
  return { kind: 'APIResourceList', groupVersion: path.replace(/^\/apis?\//, ''), resources };
}

/** One object, or the list of a kind, in any namespace. */
function stored(objects: ReadonlyMap<string, KubernetesObject>, path: string): object | undefined {
  const [, resource = '', name] = /\/namespaces\/[^/]+\/(\w+)(?:\/([^/]+))?$/.exec(path) ?? [];
  if (name !== undefined) return objects.get(`${resource}/${name}`);
  if (resource === '') return undefined;
  const items = [...objects].filter(([key]) => key.startsWith(`${resource}/`)).map(([, object]) => object);
  return { kind: 'List', apiVersion: 'v1', metadata: {}, items };
}

function notFound(path: string): object {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    status: 'Failure',
    reason: 'NotFound',
    code: 404,
    message: path,
  };
}
