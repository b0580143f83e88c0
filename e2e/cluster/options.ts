// How `npm run e2e:cluster` is told about the cluster: by flags, and by KUBECONFIG as every tool is.
import { parseArgs } from 'node:util';

export interface Options {
  /** Makes an image archive known to the nodes; `undefined` where they pull what the charts name. */
  readonly load: string | undefined;
  /** Host name that leads to the Ingress controller. */
  readonly host: string;
  /** Address of each relay's load balancer, with `{ordinal}`; without it devices use node ports. */
  readonly relayAddress: string | undefined;
  /** Further files of values for every install. */
  readonly values: readonly string[];
  /** Parts to run; all when empty. */
  readonly only: readonly string[];
  /** Part of the names of the files of ci values to install; all when `undefined`. */
  readonly case: string | undefined;
  /** Builds the images and ends. */
  readonly build: boolean;
}

export const PARTS = ['installs', 'outside', 'upgrade', 'crash', 'leftovers'] as const;
export type Part = (typeof PARTS)[number];

export const HELP = `npm run e2e:cluster -- [OPTIONS]

Installs the charts on the cluster that KUBECONFIG points at, in namespaces of its own, and tries them: every file of
ci values that can run there with «helm test»; devices outside the cluster; a rolling upgrade while devices sync;
killed pods; what an uninstall leaves. It needs kubectl and helm, and a way from here to the Ingress controller and
the relays. The images are built with buildah and loaded with the command you name.

  --load COMMAND          makes an image known to the nodes; the path of an image archive is put behind it, as in
                          --load 'kind load image-archive' or --load 'k3s ctr images import'.
                          Without it nothing is built: the nodes pull what the charts name.
  --host NAME             a name that leads to the Ingress controller (default tracker.rustory.test)
  --relay-address ADDR    address of the load balancer of each relay, such as 10.98.1.2{ordinal}, where the cluster lets
                          one choose it; without it the devices use node ports
  --values FILE           further values for every install, such as other images; may be repeated
  --only PART,PART        only these parts: ${PARTS.join(', ')}
  --case NAME             of the files of ci values only those with this in their name, such as rustory-p2p/default
  --build                 builds the images, so that they are cached, and ends: for clusters from whose network no
                          package registry can be reached
  --help                  shows this

It ends with «N passed, N failed», and exit code 0 when nothing failed.
`;

/** @throws Error that says which argument is not understood */
export function readOptions(args: readonly string[]): Options | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      load: { type: 'string' },
      host: { type: 'string', default: 'tracker.rustory.test' },
      'relay-address': { type: 'string' },
      values: { type: 'string', multiple: true, default: [] },
      only: { type: 'string', default: '' },
      case: { type: 'string' },
      build: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const only = values.only.split(',').filter((part) => part !== '');
  const unknown = only.filter((part) => !PARTS.some((known) => known === part));
  if (unknown.length > 0) throw new Error(`--only knows ${PARTS.join(', ')}, not ${unknown.join(', ')}`);
  const relayAddress = values['relay-address'];
  if (relayAddress !== undefined && !relayAddress.includes('{ordinal}'))
    throw new Error('--relay-address must have {ordinal}, because each relay has an address of its own');
  return {
    load: values.load,
    host: values.host,
    relayAddress,
    values: values.values,
    only,
    case: values.case,
    build: values.build,
  };
}
