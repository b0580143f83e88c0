// When the relay last received a byte on each connection. Connections count the reads of their sockets, so every byte
// counts, also one that answers nothing.
import type { LoopClock } from '../shared/loop-clock.ts';
import type { RelayConnection } from './connection.ts';
import { QUIET_MS } from './liveness-limits.ts';

/** What is needed of a connection. */
export type HeardConnection = Pick<
  RelayConnection,
  | 'heardAtMs'
  | 'reads'
  | 'unansweredReads'
  | 'isOpen'
  | 'isReadPaused'
  | 'hasUnsentBytes'
  | 'onNextRead'
  | 'onceClosed'
>;

export interface Liveness {
  /** Milliseconds since the last byte. 0 while the relay itself does not read from the connection. */
  quietMs(connection: HeardConnection): number;
  isQuiet(connection: HeardConnection): boolean;
  /** Whether bytes for the connection wait in the relay, so that a response cannot be expected yet. */
  hasUnsentBytes(connection: HeardConnection): boolean;
  /** Runs a check on whether a byte arrives from now on. */
  listen(connection: HeardConnection): ByteListener;
  /** Whether the connection left a request unanswered and has sent no byte since. */
  isUnanswered(connection: HeardConnection): boolean;
}

/** Whether the connection has sent a byte since the listener was created. */
export interface ByteListener {
  /** Resolves with true as soon as a byte arrives, with false after the deadline or when the connection closes. */
  within(durationMs: number): Promise<boolean>;
  hasHeard(): boolean;
  /** Records that a request was not answered, unless a byte arrived meanwhile. Returns whether it was recorded. */
  markUnanswered(): boolean;
}

export function createLiveness(clock: Pick<LoopClock, 'nowMs' | 'after'>): Liveness {
  function quietMs(connection: HeardConnection): number {
    // Bytes may wait in the kernel, because a buffer of the relay is full.
    if (connection.isReadPaused) connection.heardAtMs = clock.nowMs();
    return clock.nowMs() - connection.heardAtMs;
  }

  async function waitFor(connection: HeardConnection, durationMs: number): Promise<boolean> {
    if (!connection.isOpen) return false;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const removeReadCallback = connection.onNextRead(() => resolve(true));
    const removeCloseCallback = connection.onceClosed(() => resolve(false));
    const cancel = clock.after(durationMs, () => resolve(connection.isReadPaused));
    const isHeard = await promise;
    cancel();
    removeReadCallback();
    removeCloseCallback();
    return isHeard;
  }

  return {
    quietMs,
    isQuiet: (connection) => quietMs(connection) > QUIET_MS,
    hasUnsentBytes: (connection) => connection.hasUnsentBytes,
    listen(connection) {
      const readsBefore = connection.reads;
      const hasHeard = (): boolean => connection.reads > readsBefore;
      return {
        hasHeard,
        within: async (durationMs) => hasHeard() || waitFor(connection, durationMs),
        markUnanswered() {
          if (hasHeard() || !connection.isOpen || connection.isReadPaused) return false;
          connection.unansweredReads = connection.reads;
          return true;
        },
      };
    },
    isUnanswered: (connection) => connection.unansweredReads === connection.reads,
  };
}
