// Starts a libp2p node, and decides what it means that an address cannot be listened on. The library reports such failures
// only as a text with stack traces and advice about its own options, and it ignores them if they are all of IPv6.
import type { Libp2p } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import { describeError, errorCode } from '../shared/errors.ts';

/** Reasons in words, by the code of the error. */
const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program, or another address of the list, uses the port',
  EADDRNOTAVAIL: 'this machine does not have the address',
  EACCES: 'the process may not use a port below 1024',
  EAFNOSUPPORT: 'this machine has no IPv6',
};

/** Codes that mean for all addresses (`::`) that there is no IPv6. */
const NO_IPV6_CODES: ReadonlySet<string> = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL']);

/** The addresses that cannot be listened on. */
export interface ListenFailures {
  readonly onListenFailure: (address: Multiaddr, error: unknown) => void;
  /** The addresses that are not served because this machine has no IPv6. */
  withoutIpv6(): string[];
  /** A sentence for each address that should be served and is not. */
  problems(): string[];
}

export function createListenFailures(): ListenFailures {
  const failures: Array<{ readonly address: Multiaddr; readonly error: unknown }> = [];
  return {
    onListenFailure: (address, error) => void failures.push({ address, error }),
    withoutIpv6: () => failures.filter(isIpv6Missing).map(({ address }) => address.toString()),
    problems: () =>
      failures
        .filter((failure) => !isIpv6Missing(failure))
        .map(
          ({ address, error }) =>
            `${address.toString()}: ${REASONS[errorCode(error)] ?? describeError(error)}`,
        ),
  };
}

function isIpv6Missing({
  address,
  error,
}: {
  readonly address: Multiaddr;
  readonly error: unknown;
}): boolean {
  const [host] = address.getComponents();
  const code = errorCode(error);
  if (host?.name !== 'ip6') return false;
  return code === 'EAFNOSUPPORT' || (host.value === '::' && NO_IPV6_CODES.has(code));
}

export interface StartNodeOptions {
  readonly failures: ListenFailures;
  /** The addresses to listen on. */
  readonly listen: readonly string[];
  /** The name of the setting with these addresses, for the error. */
  readonly setting: string;
}

/**
 * Starts the node. A node that cannot listen on an address is stopped, because its operator expects that all are served.
 * Addresses of IPv6 are an exception on a machine without IPv6, if others are served: one configuration serves machines
 * with and without it.
 *
 * @throws Error that names the setting, and each address with its reason
 */
export async function startNode(
  node: Pick<Libp2p, 'start' | 'stop'>,
  { failures, listen, setting }: StartNodeOptions,
): Promise<void> {
  let failure: unknown;
  try {
    await node.start();
  } catch (error) {
    failure = error;
  }
  const isOfListening = failure instanceof Error && failure.name === 'UnsupportedListenAddressesError';
  if (failure !== undefined && !isOfListening) throw failure;
  const problems = failures.problems();
  const withoutIpv6 = failures.withoutIpv6();
  if (failure === undefined && problems.length === 0) return;
  await node.stop();
  if (problems.length === 0)
    problems.push(...withoutIpv6.map((address) => `${address}: ${REASONS['EAFNOSUPPORT']}`));
  // A kind of address that no transport supports has no failure.
  const reasons = problems.length === 0 ? listen.join(', ') : problems.join('; ');
  // The error of the library is not the cause, because its message would become a part of this one.
  throw new Error(
    `${setting}: the node cannot listen on ${reasons}. Set addresses of this machine with ports that are free, each once.`,
  );
}
