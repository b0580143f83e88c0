// The turns of handshakes. After a restart all devices return in the same second. If all their handshakes progressed at
// the same time, all would end late, and many of them after the deadline of their client. So a handshake waits, in order
// of arrival, until the relay has CPU time for it. Only handshakes whose client has just sent something use CPU time. One
// that waits for its client is quiet and delays no other: neither slow networks nor silent clients hold up the queue.
import type { MultiaddrConnection } from '@libp2p/interface';

/**
 * Maximum handshakes with work for the CPU at the same time. With fewer the CPU is idle while messages are on their way;
 * more of them only delay each other.
 */
const MAX_BUSY = 16;

/** A handshake is quiet when its client sent nothing during one whole interval, in milliseconds. */
const QUIET_INTERVAL_MS = 25;

/** The connection closed before its turn. */
export class NoTurnError extends Error {
  override readonly name = 'NoTurnError';
  readonly code = 'NO_TURN';

  constructor() {
    super('The connection closed before the turn of its handshake.');
  }
}

export interface HandshakeQueue {
  /**
   * Resolves when the turn of the handshake has come.
   *
   * @throws NoTurnError when it is removed before
   */
  enter(connection: MultiaddrConnection): Promise<void>;
  /** Removes a handshake that is finished, or whose connection closed. */
  remove(connection: MultiaddrConnection): void;
  /** The handshake that will be the last to have its turn. */
  lastWaiting(): MultiaddrConnection | undefined;
  /** The first handshake whose turn has come and whose client sends nothing. */
  firstQuiet(): MultiaddrConnection | undefined;
  /** Handshakes that wait for their turn. */
  waiting(): number;
}

/** A handshake whose turn has come. */
interface Turn {
  /** Whether it counts as work for the CPU. */
  isBusy: boolean;
  /** Whether the client sent something in this interval. */
  isHeard: boolean;
  readonly onMessage: () => void;
}

export function createHandshakeQueue(maxBusy: number = MAX_BUSY): HandshakeQueue {
  // Both maps are in order of arrival.
  const waiting = new Map<MultiaddrConnection, PromiseWithResolvers<void>>();
  const turns = new Map<MultiaddrConnection, Turn>();
  let busy = 0;
  let timer: NodeJS.Timeout | undefined;

  function begin(connection: MultiaddrConnection): void {
    const turn: Turn = { isBusy: true, isHeard: true, onMessage: () => hear(turn) };
    busy += 1;
    turns.set(connection, turn);
    connection.addEventListener('message', turn.onMessage);
    // After an immediate, everything that has arrived is read: a busy relay does not mistake its delay for silence.
    timer ??= setInterval(() => setImmediate(endInterval), QUIET_INTERVAL_MS);
  }

  function hear(turn: Turn): void {
    turn.isHeard = true;
    if (turn.isBusy) return;
    turn.isBusy = true;
    busy += 1;
  }

  function endInterval(): void {
    for (const turn of turns.values()) {
      if (turn.isBusy && !turn.isHeard) {
        turn.isBusy = false;
        busy -= 1;
      }
      turn.isHeard = false;
    }
    startTurns();
  }

  function startTurns(): void {
    for (const [connection, { resolve }] of waiting) {
      if (busy >= maxBusy) return;
      waiting.delete(connection);
      begin(connection);
      resolve();
    }
  }

  return {
    async enter(connection) {
      const turn = Promise.withResolvers<void>();
      waiting.set(connection, turn);
      startTurns();
      return turn.promise;
    },
    remove(connection) {
      waiting.get(connection)?.reject(new NoTurnError());
      waiting.delete(connection);
      const turn = turns.get(connection);
      if (turn === undefined) return;
      turns.delete(connection);
      connection.removeEventListener('message', turn.onMessage);
      if (turn.isBusy) busy -= 1;
      startTurns();
      if (turns.size > 0) return;
      clearInterval(timer);
      timer = undefined;
    },
    lastWaiting: () => [...waiting.keys()].at(-1),
    firstQuiet() {
      for (const [connection, { isBusy }] of turns) if (!isBusy) return connection;
      return undefined;
    },
    waiting: () => waiting.size,
  };
}
