// A counting semaphore with a limit per peer and a bounded queue. Requests above the limit wait for a short time and
// are then refused.
import { refused, type Result } from '../../shared/result.ts';
import { anySignal } from '../../shared/signals.ts';

export interface SemaphoreLimits {
  /** Maximum permits held at the same time. Further requests are queued. */
  readonly maxPermits: number;
  /**
   * Maximum permits of one peer, including queued requests, so that no peer fills the queue. Further ones are refused.
   */
  readonly maxPermitsPerPeer: number;
  /** Maximum queued requests. Further ones are refused. */
  readonly maxQueued: number;
  /** Maximum time in the queue in milliseconds. A request that waits longer is refused. */
  readonly queueTimeoutMs: number;
}

/** Reasons to refuse a permit; values of a log field. */
export const REFUSALS = ['too many requests', 'too many requests of this peer', 'no permit in time'] as const;
export type PermitRefusal = (typeof REFUSALS)[number];

export interface Permit {
  /** Returns the permit. Call it once. */
  release(): void;
}

export interface Semaphore {
  /** Resolves to a permit, first come, first served, or to the reason of the refusal. */
  acquire(peer: string, signal: AbortSignal): Promise<Result<Permit, PermitRefusal>>;
}

export function createSemaphore(limits: SemaphoreLimits): Semaphore {
  const { maxPermits, maxPermitsPerPeer, maxQueued, queueTimeoutMs } = limits;
  const permitsByPeer = new Map<string, number>();
  const queue = new Set<() => void>();
  let permits = 0;

  function addPermits(peer: string, change: number): void {
    const count = (permitsByPeer.get(peer) ?? 0) + change;
    if (count === 0) permitsByPeer.delete(peer);
    else permitsByPeer.set(peer, count);
  }

  function release(peer: string): void {
    addPermits(peer, -1);
    const [next] = queue;
    if (next === undefined) permits -= 1;
    else next();
  }

  /** Resolves to true when a permit was granted, to false at the timeout or when the signal aborts. */
  async function waitInQueue(signal: AbortSignal): Promise<boolean> {
    const end = anySignal(signal, AbortSignal.timeout(queueTimeoutMs));
    return new Promise((resolve) => {
      const settle = (hasPermit: boolean): void => {
        queue.delete(onPermit);
        end.removeEventListener('abort', onEnd);
        resolve(hasPermit);
      };
      const onPermit = (): void => settle(true);
      const onEnd = (): void => settle(false);
      queue.add(onPermit);
      end.addEventListener('abort', onEnd, { once: true });
      if (end.aborted) onEnd();
    });
  }

  return {
    async acquire(peer, signal) {
      if ((permitsByPeer.get(peer) ?? 0) >= maxPermitsPerPeer)
        return refused('too many requests of this peer');
      const isFull = permits >= maxPermits;
      if (isFull && queue.size >= maxQueued) return refused('too many requests');
      addPermits(peer, 1);
      if (!isFull) permits += 1;
      else if (!(await waitInQueue(signal))) {
        addPermits(peer, -1);
        return refused('no permit in time');
      }
      return { ok: true, release: () => release(peer) };
    },
  };
}
