// The options of `npm run e2e:cluster`. kubectl and helm read KUBECONFIG.
import { parseArgs } from 'node:util';

export interface Options {
  /** The command that loads an image archive into the nodes; `undefined` if the nodes pull the images. */
  readonly load: string | undefined;
  /** A host name that resolves to the Ingress controller. */
  readonly host: string;
  /** The address of the load balancer of each relay, with `{ordinal}`. Without it the relays use node ports. */
  readonly relayAddress: string | undefined;
  /** Further values files for every install. */
  readonly values: readonly string[];
  /** The scenarios to run; all if empty. */
  readonly only: readonly string[];
  /** Selects ci values files whose name contains this text; all if `undefined`. */
  readonly case: string | undefined;
  /** Builds the images and exits. */
  readonly build: boolean;
  /** Prints the help and exits. */
  readonly help: boolean;
}

export const SCENARIOS = ['installs', 'secrets', 'outside', 'upgrade', 'crash', 'leftovers', 'hub'] as const;
export type Scenario = (typeof SCENARIOS)[number];

export const HELP = `npm run e2e:cluster -- [OPTIONS]

Installs the charts in the cluster of KUBECONFIG, in its own namespaces, and tests them: each ci values file, with
"helm test"; the generated Secrets; devices outside the cluster; a rolling upgrade while devices sync; killed pods; the objects that remain
after an uninstall; hubs with their backups. Requires kubectl, helm, and a network route to the Ingress controller and to the relays.

  --load COMMAND          build the images with buildah, and load them into the nodes with this command, to which the
                          path of an image archive is appended, such as 'kind load image-archive' or
                          'k3s ctr images import'. Without this option the nodes pull the images
  --host NAME             host name of the Ingress controller (default tracker.rustory.test)
  --relay-address ADDR    address of the load balancer of each relay, such as 10.98.1.2{ordinal}. Without this option
                          the relays use node ports
  --values FILE           further values file for every install; may be repeated
  --only NAME,NAME        run only these scenarios: ${SCENARIOS.join(', ')}
  --case TEXT             install only the ci values files whose name contains this text, such as rustory-p2p/default
  --build                 build the images and exit. A later run uses the cached builds, also if it cannot reach a
                          package registry
  --help                  print this help and exit

The last line is "N passed, N failed". The exit code is 0 if no check failed, 1 if one failed, 2 for invalid arguments
or a missing tool.
`;

/** @throws Error if an argument is not valid */
export function readOptions(args: readonly string[]): Options {
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

  const only = values.only.split(',').filter((name) => name !== '');
  const unknown = only.filter((name) => !SCENARIOS.some((scenario) => scenario === name));
  if (unknown.length > 0)
    throw new Error(`--only: unknown scenarios: ${unknown.join(', ')}: use one of ${SCENARIOS.join(', ')}.`);
  const relayAddress = values['relay-address'];
  if (relayAddress !== undefined && !relayAddress.includes('{ordinal}'))
    throw new Error(
      `--relay-address "${relayAddress}" does not contain {ordinal}: each relay requires its own address.`,
    );
  return {
    load: values.load,
    host: values.host,
    relayAddress,
    values: values.values,
    only,
    case: values.case,
    build: values.build,
    help: values.help,
  };
}
