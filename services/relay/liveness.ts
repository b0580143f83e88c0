// When the relay last received a byte on each connection. It listens on the connection below the swarm key, so every byte
// counts, also one that answers nothing.
import type { Connection, MultiaddrConnection } from '@libp2p/interface';
import type { LoopClock } from '../shared/loop-clock.ts';
import { QUIET_MS } from './liveness-limits.ts';

/** A connection of either layer: both share the object `timeline`. */
export type AnyConnection = Pick<Connection | MultiaddrConnection, 'timeline'>;

export interface Liveness {
  /** Watches a connection. Call it when its handshake is finished. */
  watch(connection: MultiaddrConnection): void;
  /** Milliseconds since the last byte. 0 while the relay itself does not read from the connection. */
  quietMs(connection: AnyConnection): number;
  isQuiet(connection: AnyConnection): boolean;
  /** Whether bytes for the connection wait in the relay, so that a response cannot be expected yet. */
  hasUnsentBytes(connection: AnyConnection): boolean;
  /** Runs a check on whether a byte arrives from now on. */
  listen(connection: AnyConnection): ByteListener;
  /** Whether the connection left a request unanswered and has sent no byte since. */
  isUnanswered(connection: AnyConnection): boolean;
}

/** Whether the connection has sent a byte since the listener was created. */
export interface ByteListener {
  /** Resolves with true as soon as a byte arrives, with false after the deadline or when the connection closes. */
  within(durationMs: number): Promise<boolean>;
  hasHeard(): boolean;
  /** Records that a request was not answered, unless a byte arrived meanwhile. Returns whether it was recorded. */
  markUnanswered(): boolean;
}

interface Entry {
  /** The library's type lacks the status of reading. */
  readonly connection: MultiaddrConnection & { readonly readStatus?: string };
  heardAtMs: number;
  /** Reads from the socket. */
  reads: number;
  isUnanswered: boolean;
  readonly waiting: Set<(isHeard: boolean) => void>;
}

export function createLiveness(clock: Pick<LoopClock, 'nowMs' | 'after'>): Liveness {
  const entries = new WeakMap<object, Entry>();

  function settle({ waiting }: Entry, isHeard: boolean): void {
    for (const resolve of waiting) resolve(isHeard);
  }

  function quietMs({ timeline }: AnyConnection): number {
    const entry = entries.get(timeline);
    if (entry === undefined) return 0;
    // Bytes may wait in the kernel, because a buffer of the relay is full.
    if (entry.connection.readStatus === 'paused') entry.heardAtMs = clock.nowMs();
    return clock.nowMs() - entry.heardAtMs;
  }

  async function waitFor(entry: Entry, durationMs: number): Promise<boolean> {
    if (entry.connection.status !== 'open') return false;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    entry.waiting.add(resolve);
    const cancel = clock.after(durationMs, () => resolve(entry.connection.readStatus === 'paused'));
    try {
      return await promise;
    } finally {
      cancel();
      entry.waiting.delete(resolve);
    }
  }

  return {
    watch(connection) {
      const entry: Entry = {
        connection,
        heardAtMs: clock.nowMs(),
        reads: 0,
        isUnanswered: false,
        waiting: new Set(),
      };
      entries.set(connection.timeline, entry);
      // The first listener would take the bytes of the handshake, so this is called after it.
      connection.addEventListener('message', () => {
        entry.heardAtMs = clock.nowMs();
        entry.reads += 1;
        entry.isUnanswered = false;
        if (entry.waiting.size > 0) settle(entry, true);
      });
      connection.addEventListener('close', () => settle(entry, false));
    },
    quietMs,
    isQuiet: (connection) => quietMs(connection) > QUIET_MS,
    hasUnsentBytes: ({ timeline }) => entries.get(timeline)?.connection.writableNeedsDrain ?? false,
    listen({ timeline }) {
      const entry = entries.get(timeline);
      const readsBefore = entry?.reads ?? 0;
      const hasHeard = (): boolean => entry === undefined || entry.reads > readsBefore;
      return {
        hasHeard,
        within: async (durationMs) => hasHeard() || entry === undefined || (await waitFor(entry, durationMs)),
        markUnanswered() {
          if (entry === undefined || hasHeard() || entry.connection.status !== 'open') return false;
          entry.isUnanswered = entry.connection.readStatus !== 'paused';
          return entry.isUnanswered;
        },
      };
    },
    isUnanswered: ({ timeline }) => entries.get(timeline)?.isUnanswered ?? false,
  };
}
