// One push of each peer is in work at a time. A sender that got no answer repeats its push while the first one is still in
// work: at the same time they would only delay each other, and afterwards the second one finds everything stored.
import { aborted } from '../../shared/signals.ts';

export interface PeerLocks {
  /** Resolves to a function that ends the work on this peer, or to `undefined` when the signal aborts before it can begin. */
  acquire(peer: string, signal: AbortSignal): Promise<(() => void) | undefined>;
}

export function createPeerLocks(): PeerLocks {
  const running = new Map<string, Promise<void>>();

  return {
    async acquire(peer, signal) {
      const end = aborted(signal);
      for (let current = running.get(peer); current !== undefined; current = running.get(peer)) {
        await Promise.race([current, end]);
        if (signal.aborted) return undefined;
      }
      const work = Promise.withResolvers<void>();
      running.set(peer, work.promise);
      return () => {
        running.delete(peer);
        work.resolve();
      };
    },
  };
}
