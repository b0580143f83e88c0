// Looks up the names of relays that only other devices list. A look-up cannot be canceled, a name server that does not
// answer delays it for many seconds, and Node.js runs only two at the same time. Devices that list many such names must
// not delay the look-ups of the trackers and relays of this device, so theirs have turns.
import type { Lookup } from '../../shared/tcp-connect.ts';

/** Maximum look-ups in progress; half of those that Node.js runs at the same time. */
const MAX_RUNNING = 1;

/** Maximum look-ups that wait for their turn. Further ones fail. */
const MAX_WAITING = 64;

export function createListedLookup(lookup: Lookup): Lookup {
  const waiting = new Set<() => void>();
  let running = 0;

  async function enter(signal: AbortSignal): Promise<void> {
    if (running < MAX_RUNNING) {
      running += 1;
      return;
    }
    if (waiting.size >= MAX_WAITING)
      throw new Error('Too many names of relays that other devices list are being looked up');
    const turn = Promise.withResolvers<void>();
    const start = (): void => turn.resolve();
    const onAbort = (): void => {
      if (waiting.delete(start)) turn.reject(signal.reason);
    };
    waiting.add(start);
    signal.addEventListener('abort', onAbort, { once: true });
    await turn.promise.finally(() => signal.removeEventListener('abort', onAbort));
  }

  /** The next one takes the turn over, or nobody has it. */
  function leave(): void {
    const [next] = waiting;
    if (next === undefined) running -= 1;
    else {
      waiting.delete(next);
      next();
    }
  }

  return async (name, family, signal) => {
    await enter(signal);
    return lookup(name, family, signal).finally(leave);
  };
}
