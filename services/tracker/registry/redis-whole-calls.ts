// Whether the scripts that use several keys may be sent: not to a Cluster, and not for some seconds after one was refused.
import { isReply } from './redis-problems.ts';
import type { Store } from './redis-store.ts';

/** Time in milliseconds for which commands of one key each are sent after a script was refused. */
const PAUSE_MS = 5_000;

export interface WholeCalls {
  /**
   * Sends a script. `undefined` when it may not be sent or was refused: then nothing that it did is lost when the commands
   * of one key follow.
   */
  send<T>(store: Store, start: () => Promise<T>): Promise<T | undefined>;
}

/** @param nowMs monotonic clock */
export function createWholeCalls(nowMs: () => number): WholeCalls {
  let pausedUntilMs = Number.NEGATIVE_INFINITY;
  return {
    async send({ client, roundTrip }, start) {
      if (client.isCluster || nowMs() < pausedUntilMs) return undefined;
      const [reply] = await roundTrip([
        start().catch((error: unknown) => {
          if (!isReply(error)) throw error;
          pausedUntilMs = nowMs() + PAUSE_MS;
          return undefined;
        }),
      ]);
      return reply;
    },
  };
}
