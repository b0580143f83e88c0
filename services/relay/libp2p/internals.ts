// A private member of libp2p, and why the relay replaces it. The package is pinned exactly in package.json.
import type { Libp2p } from '@libp2p/interface';

interface Pruner {
  stop?(): void;
}

/** The private members of a node; a later version of the library may not have them. */
interface Internals {
  readonly components?: { readonly connectionManager?: { readonly connectionPruner?: Pruner } };
}

/** The component of libp2p that closes connections above its own maximum. */
export function prunerOf(node: Libp2p): Pruner | undefined {
  return (node as Libp2p & Internals).components?.connectionManager?.connectionPruner;
}

/**
 * Stops the pruner: for each new connection it copies the list of all connections once per peer, which is a third of the
 * CPU time when thousands of devices connect. The connection limiter does its work. Without the member the relay only
 * uses more CPU time.
 */
export function stopPruner(node: Libp2p): void {
  prunerOf(node)?.stop?.();
}
