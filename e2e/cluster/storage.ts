// Volumes for clusters without a default storage class: directories of the node, which are deleted at the end.
import { run } from '../../testing/command.ts';
import { redisImage } from './images.ts';
import { createNamespace, exists, type KubernetesObject, type Namespace } from './kubernetes.ts';

/** Contains the directories, on the node. */
const FOLDER = '/var/lib/rustory-e2e';
const NAME = 'rustory-e2e';
const HOST_LABEL = 'kubernetes.io/hostname';
/** Volumes of one run. A volume is not used again, so that each claim gets an empty one. */
const VOLUMES = 24;
/** More than each claim of the charts requests. It limits nothing. */
const CAPACITY = '100Gi';
/** The user of the pods that write to the volumes; Kubernetes does not change the owner of a directory of the node. */
const OWNER = 65_532;

export interface Storage {
  /** What was made; `undefined` if the cluster has a default storage class. */
  readonly made: string | undefined;
  remove(): Promise<void>;
}

/** Makes a default storage class with volumes if the cluster has none. */
export async function provideStorage(): Promise<Storage> {
  if (await hasDefaultClass()) return { made: undefined, remove: async () => undefined };
  const namespace = await createNamespace('rustory-storage', 'privileged');
  const paths = Array.from({ length: VOLUMES }, (_, index) => `${FOLDER}/${index}`);
  let node: string | undefined;
  const remove = async (): Promise<void> => {
    await runOnNode(namespace, 'clear', 'rm -rf /volumes/*', node);
    await run('kubectl', ['delete', 'persistentvolumes', `--selector=${NAME}=true`, '--wait=false']);
    await run('kubectl', ['delete', 'storageclass', NAME]);
    await namespace.remove();
  };
  const names = Array.from(paths, (_, index) => `/volumes/${index}`).join(' ');
  node = await runOnNode(
    namespace,
    'make',
    `rm -rf /volumes/* && mkdir ${names} && chown ${OWNER}:${OWNER} ${names} && chmod 0770 ${names}`,
  );
  const host = await run('kubectl', [
    'get',
    'node',
    node,
    `--output=jsonpath={.metadata.labels.${HOST_LABEL.replaceAll('.', String.raw`\.`)}}`,
  ]);
  await namespace.apply(storageClass(), ...paths.map((path, index) => volume(path, index, host)));
  return { made: `${VOLUMES} volumes in ${FOLDER} on the node`, remove };
}

async function hasDefaultClass(): Promise<boolean> {
  if (!(await exists('storageclass', '--output=name'))) return false;
  const { items } = JSON.parse(await run('kubectl', ['get', 'storageclass', '--output=json'])) as {
    items: KubernetesObject[];
  };
  return items.some(
    ({ metadata }) => metadata.annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true',
  );
}

/** Runs a shell command as root in a pod that has the folder at /volumes. Returns the node. */
async function runOnNode(
  namespace: Namespace,
  name: string,
  script: string,
  nodeName?: string,
): Promise<string> {
  await namespace.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      nodeName,
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      containers: [
        {
          name,
          image: redisImage(),
          command: ['sh', '-c', script],
          securityContext: { runAsUser: 0 },
          volumeMounts: [{ name: 'volumes', mountPath: '/volumes' }],
        },
      ],
      volumes: [{ name: 'volumes', hostPath: { path: FOLDER, type: 'DirectoryOrCreate' } }],
    },
  });
  await namespace.kubectl(
    'wait',
    '--for=jsonpath={.status.phase}=Succeeded',
    `pod/${name}`,
    '--timeout=120s',
  );
  return namespace.kubectl('get', 'pod', name, '--output=jsonpath={.spec.nodeName}');
}

function storageClass(): object {
  return {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: NAME, annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
    provisioner: 'kubernetes.io/no-provisioner',
  };
}

function volume(path: string, index: number, host: string): object {
  const onNode = { matchExpressions: [{ key: HOST_LABEL, operator: 'In', values: [host] }] };
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: `${NAME}-${index}`, labels: { [NAME]: 'true' } },
    spec: {
      capacity: { storage: CAPACITY },
      accessModes: ['ReadWriteOnce'],
      persistentVolumeReclaimPolicy: 'Retain',
      storageClassName: NAME,
      hostPath: { path },
      nodeAffinity: { required: { nodeSelectorTerms: [onNode] } },
    },
  };
}
