// Places for work at the same time, in all and for one peer, with a short queue before them: a device that many ask at
// once lets them wait a moment instead of sending them away.

export interface TurnLimits {
  /** Turns at the same time. */
  readonly most: number;
  /** Turns of one peer, those that it waits for included, so that no peer fills the queue. */
  readonly mostPerPeer: number;
  readonly mostWaiting: number;
  /** How long one waits for its turn, in milliseconds. */
  readonly patienceMs: number;
}

/** Why there is no turn; for the log. */
export type Refusal = 'too many pulls at once' | 'too many pulls of this peer at once';

/** A turn that was given is to be released once. */
export type Turn = { readonly release: () => void } | { readonly refusal: Refusal };

export interface Turns {
  /** Resolves when it is the peer's turn, first come first served, or when it is known that there will be none. */
  take(peer: string, signal: AbortSignal): Promise<Turn>;
}

export function createTurns({ most, mostPerPeer, mostWaiting, patienceMs }: TurnLimits): Turns {
  const byPeer = new Map<string, number>();
  const waiting = new Set<() => void>();
  let taken = 0;

  function count(peer: string, change: number): void {
    const turns = (byPeer.get(peer) ?? 0) + change;
    if (turns === 0) byPeer.delete(peer);
    else byPeer.set(peer, turns);
  }

  function pass(peer: string): void {
    count(peer, -1);
    const [next] = waiting;
    if (next === undefined) taken -= 1;
    else next();
  }

  /** Whether a place was handed over before the patience, or the signal, ended. */
  async function isHandedOver(signal: AbortSignal): Promise<boolean> {
    const end = AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]);
    return new Promise((resolve) => {
      const finish = (isMine: boolean): void => {
        waiting.delete(mine);
        end.removeEventListener('abort', giveUp);
        resolve(isMine);
      };
      const mine = (): void => finish(true);
      const giveUp = (): void => finish(false);
      waiting.add(mine);
      end.addEventListener('abort', giveUp, { once: true });
      if (end.aborted) giveUp();
    });
  }

  return {
    async take(peer, signal) {
      if ((byPeer.get(peer) ?? 0) >= mostPerPeer) return { refusal: 'too many pulls of this peer at once' };
      const isFull = taken >= most;
      if (isFull && waiting.size >= mostWaiting) return { refusal: 'too many pulls at once' };
      count(peer, 1);
      if (!isFull) taken += 1;
      else if (!(await isHandedOver(signal))) {
        count(peer, -1);
        return { refusal: 'too many pulls at once' };
      }
      return { release: () => pass(peer) };
    },
  };
}
