// Starts a libp2p node, with an error that names the setting when an address cannot be listened on.
import type { Libp2p } from '@libp2p/interface';

/**
 * Starts the node.
 *
 * @param setting the name of the setting with the listen addresses, for the error
 * @throws Error that names setting and addresses; the library reports such failures only as a text with stack traces
 */
export async function startNode(
  node: Pick<Libp2p, 'start'>,
  listen: readonly string[],
  setting: string,
): Promise<void> {
  let failure: unknown;
  try {
    await node.start();
    return;
  } catch (error) {
    failure = error;
  }
  if (!(failure instanceof Error) || failure.name !== 'UnsupportedListenAddressesError') throw failure;
  // Not as the cause, whose message would become a part of this one.
  throw new Error(
    `${setting}: the node cannot listen on ${listen.join(', ')}; set addresses of this machine with ports that are free.`,
  );
}
