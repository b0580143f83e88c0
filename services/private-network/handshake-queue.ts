// The turns of handshakes. After a restart all devices return in the same second. If all their handshakes progressed at
// the same time, all would end late, and many of them after the deadline of their client. So a handshake waits, in order
// of arrival, until there is CPU time for it. Only handshakes whose client has just sent something use CPU time. One that
// waits for its client is quiet and delays no other: neither slow networks nor silent clients hold up the queue.

/**
 * Maximum handshakes with work for the CPU at the same time. With fewer the CPU is idle while messages are on their way;
 * more of them only delay each other.
 */
const MAX_BUSY = 16;

/**
 * A handshake is quiet when its client sent nothing during one whole interval, in milliseconds. Clients that share a busy
 * machine need that long.
 */
const QUIET_INTERVAL_MS = 25;

/**
 * Quiet handshakes whose clients have sent nothing since their turn began, from which on clients that are only slow are not
 * waited for: an interval is then one round of the event loop, which reads everything that has arrived. Otherwise whoever
 * opens 300 connections per second and says nothing would have all turns.
 */
const MANY_SILENT = 8;

/**
 * Intervals in which a handshake may count as busy. It has a few messages; a client that sends them byte by byte would
 * take a turn for as long as it likes.
 */
const MAX_BUSY_INTERVALS = 32;

/** A connection in its handshake. */
export interface QueuedConnection {
  /** It changes when the other side has sent something. */
  readonly reads: number;
}

export interface HandshakeQueue<C> {
  /** Calls back, at once or later, when the turn of the handshake has come. */
  enter(connection: C, onTurn: () => void): void;
  /** Removes a handshake that is finished, or whose connection closed. */
  remove(connection: C): void;
  /** The handshake that will be the last to have its turn. */
  lastWaiting(): C | undefined;
  /** Handshakes whose turn has come and whose client sends nothing, the longest quiet one first. */
  quiet(): Iterable<C>;
  /** Handshakes whose turn has just come and whose clients have not sent anything since, the oldest first. */
  silent(): Iterable<C>;
  /** Finds quiet handshakes in each round of the event loop, until none waits: there are too many handshakes. */
  findQuiet(): void;
  /** Handshakes that wait for their turn. */
  waiting(): number;
}

/** A handshake whose turn has come. */
interface Turn {
  /** The value of `reads` at the last check. */
  reads: number;
  /** Intervals in which it was busy. */
  busyIntervals: number;
}

export function createHandshakeQueue<C extends QueuedConnection>(
  maxBusy: number = MAX_BUSY,
): HandshakeQueue<C> {
  const waiting = new Map<C, () => void>();
  /** In order of arrival, with removed ones until they are the last. */
  let arrivals: C[] = [];
  const busy = new Map<C, Turn>();
  const quiet = new Map<C, Turn>();
  /** Quiet handshakes whose clients have sent nothing since their turn began. */
  let silent = 0;
  let timer: NodeJS.Timeout | undefined;
  /** Whether there are too many handshakes. */
  let isCrowded = false;
  let isCheckScheduled = false;
  let isStarting = false;

  function check(): void {
    isCheckScheduled = false;
    for (const [connection, turn] of busy) {
      if (isHeard(connection, turn)) continue;
      move(connection, turn, busy, quiet);
      if (isSilent(turn)) silent += 1;
    }
    for (const [connection, turn] of quiet) {
      const wasSilent = isSilent(turn);
      if (!isHeard(connection, turn)) continue;
      move(connection, turn, quiet, busy);
      if (wasSilent) silent -= 1;
    }
    startTurns();
  }

  function isHeard(connection: C, turn: Turn): boolean {
    const { reads } = connection;
    if (reads === turn.reads || turn.busyIntervals >= MAX_BUSY_INTERVALS) return false;
    turn.reads = reads;
    turn.busyIntervals += 1;
    return true;
  }

  // After an immediate, everything that has arrived is read: the delay of a busy process is no silence of the client.
  function schedule(): void {
    if (busy.size + quiet.size > 0) timer ??= setInterval(() => setImmediate(check), QUIET_INTERVAL_MS);
    isCrowded &&= waiting.size > 0;
    if (waiting.size === 0 || isCheckScheduled || (silent < MANY_SILENT && !isCrowded)) return;
    isCheckScheduled = true;
    setImmediate(check);
  }

  function startTurns(): void {
    // The work of a turn may end in the removal of its connection, which starts further turns.
    if (isStarting) return;
    isStarting = true;
    for (const [connection, onTurn] of waiting) {
      if (busy.size >= maxBusy) break;
      waiting.delete(connection);
      // Its first interval is the next one.
      busy.set(connection, { reads: connection.reads - 1, busyIntervals: 0 });
      onTurn();
    }
    isStarting = false;
    schedule();
  }

  return {
    enter(connection, onTurn) {
      waiting.set(connection, onTurn);
      arrivals.push(connection);
      startTurns();
    },
    remove(connection) {
      waiting.delete(connection);
      if (arrivals.length > 2 * waiting.size + maxBusy) arrivals = [...waiting.keys()];
      const turn = quiet.get(connection);
      if (turn !== undefined && isSilent(turn)) silent -= 1;
      if (!busy.delete(connection) && !quiet.delete(connection)) return;
      startTurns();
      if (busy.size + quiet.size > 0) return;
      clearInterval(timer);
      timer = undefined;
    },
    lastWaiting() {
      for (let last = arrivals.at(-1); last !== undefined; last = arrivals.at(-1)) {
        if (waiting.has(last)) return last;
        arrivals.pop();
      }
      return undefined;
    },
    quiet: () => quiet.keys(),
    *silent() {
      for (const [connection, turn] of busy) if (isSilent(turn)) yield connection;
    },
    findQuiet() {
      isCrowded = true;
      schedule();
    },
    waiting: () => waiting.size,
  };
}

/** Whether its client has sent nothing since its turn began; the first interval counts as busy in any case. */
function isSilent({ busyIntervals }: Turn): boolean {
  return busyIntervals <= 1;
}

function move<C>(connection: C, turn: Turn, from: Map<C, Turn>, to: Map<C, Turn>): void {
  from.delete(connection);
  to.set(connection, turn);
}
