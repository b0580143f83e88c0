// Limits pending handshakes, which anyone can start, and decides when each continues. A handshake has three stages: it
// proves the swarm key, which costs little; it waits for its turn (`handshake-queue`); then it has its turn, with the
// expensive cryptography. Each stage has its own deadline, so no device is late because this one is busy.
// Above the limit one handshake is evicted: if new ones were refused instead, an attacker with the maximum number of
// pending handshakes could block all devices. Authenticated connections (those that have proved the swarm key) are
// counted separately, and the larger group loses a connection. A flood of unauthenticated connections therefore evicts no
// authenticated one, and authenticated connections that stall do not prevent devices from authenticating.
import type { MultiaddrConnection } from '@libp2p/interface';
import { createHandshakeQueue, NoTurnError } from './handshake-queue.ts';
import type { ProtectionOutcome } from '../wire/psk-outcomes.ts';

/** Maximum time that a handshake waits for its turn, in milliseconds: the longest pause of a device between two tries. */
const MAX_WAIT_MS = 60_000;

/**
 * Time for a client to prove the swarm key, in handshake deadlines. Longer, because many clients may run on one busy
 * machine, and shorter than the wait for a turn; a flood evicts them earlier.
 */
const PROOF_FACTOR = 3;

export interface HandshakeLimits {
  /** Maximum pending handshakes. Above this limit one is evicted. */
  readonly pendingConnections: number;
  /** Deadline of a handshake from its turn on, in seconds. */
  readonly handshakeSeconds: number;
}

/**
 * How a handshake ended. `unfinished`: it failed in its turn; `abandoned`: the client closed it while it waited;
 * `no_turn`: it waited too long.
 */
export type HandshakeEnd = ProtectionOutcome | 'unfinished' | 'abandoned' | 'no_turn';

/** Receives what happens to handshakes, for metrics and the log. */
export interface HandshakeEvents {
  /** A handshake that is not evicted has ended. */
  ended?(outcome: HandshakeEnd): void;
  /** The other side has not proved the swarm key. `ended` is called as well. */
  unauthenticated?(outcome: ProtectionOutcome, connection: MultiaddrConnection): void;
  evicted?(connection: MultiaddrConnection): void;
}

export interface HandshakeLimiter {
  /** Counts a connection from its start until it closes or finishes its handshake. */
  begin(connection: MultiaddrConnection): void;
  /** Records the outcome of the swarm key protection. The protector calls it once for each connection. */
  authenticated(outcome: ProtectionOutcome, connection: MultiaddrConnection): void;
  /** Resolves when it is the turn of an authenticated connection. @throws when the connection closes before */
  admit(connection: MultiaddrConnection): Promise<void>;
  /** The handshake is finished: the peer id is verified and the muxer is chosen. */
  finish(connection: MultiaddrConnection): void;
  /** Pending handshakes. */
  pending(): number;
  /** Pending handshakes that wait for their turn. */
  waiting(): number;
}

/** The longest time between the start of a handshake and its end, in milliseconds. */
export function maxHandshakeMs({ handshakeSeconds }: Pick<HandshakeLimits, 'handshakeSeconds'>): number {
  return (PROOF_FACTOR + 1) * handshakeSeconds * 1000 + MAX_WAIT_MS;
}

interface PendingHandshake {
  /** Cancels the deadline of its stage. */
  cancelDeadline: () => void;
  /** The outcome if the connection closes in its stage. Of an unauthenticated one, the protector reports it. */
  closed: HandshakeEnd;
}

export function createHandshakeLimiter(
  limits: HandshakeLimits,
  events: HandshakeEvents = {},
): HandshakeLimiter {
  // Both are in order of arrival.
  const unauthenticated = new Map<MultiaddrConnection, PendingHandshake>();
  const authenticated = new Map<MultiaddrConnection, PendingHandshake>();
  const evicted = new WeakSet<MultiaddrConnection>();
  const queue = createHandshakeQueue();
  const handshakeMs = limits.handshakeSeconds * 1000;

  function remove(connection: MultiaddrConnection): PendingHandshake | undefined {
    const isAuthenticated = authenticated.has(connection);
    const pending = (isAuthenticated ? authenticated : unauthenticated).get(connection);
    pending?.cancelDeadline();
    unauthenticated.delete(connection);
    authenticated.delete(connection);
    queue.remove(connection);
    return isAuthenticated ? pending : undefined;
  }

  // A quiet handshake is given up first, and one that waits for the CPU last: its device does nothing wrong.
  function leastUseful(): MultiaddrConnection | undefined {
    const [unproved] = unauthenticated.keys();
    if (unauthenticated.size >= authenticated.size) return unproved;
    const [oldest] = authenticated.keys();
    return queue.firstQuiet() ?? unproved ?? queue.lastWaiting() ?? oldest;
  }

  function evict(): void {
    const connection = leastUseful();
    if (connection === undefined) return;
    events.evicted?.(connection);
    evicted.add(connection);
    remove(connection);
    connection.abort(
      new Error('The connection was evicted: there is the maximum number of pending handshakes.'),
    );
  }

  function setDeadline(connection: MultiaddrConnection, pending: PendingHandshake, deadlineMs: number): void {
    pending.cancelDeadline();
    pending.cancelDeadline = startDeadline(deadlineMs, () =>
      connection.abort(new Error('The handshake exceeded its deadline.')),
    );
  }

  return {
    begin(connection) {
      if (unauthenticated.size + authenticated.size >= limits.pendingConnections) evict();
      const pending: PendingHandshake = { cancelDeadline: () => {}, closed: 'unfinished' };
      setDeadline(connection, pending, PROOF_FACTOR * handshakeMs);
      unauthenticated.set(connection, pending);
      connection.addEventListener('close', () => {
        const closed = remove(connection);
        if (closed !== undefined) events.ended?.(closed.closed);
      });
    },
    authenticated(outcome, connection) {
      // Its eviction is already reported.
      if (evicted.has(connection)) return;
      if (outcome !== 'ok') {
        events.ended?.(outcome);
        events.unauthenticated?.(outcome, connection);
        return;
      }
      const pending = unauthenticated.get(connection);
      if (pending === undefined) return;
      unauthenticated.delete(connection);
      authenticated.set(connection, pending);
      pending.closed = 'abandoned';
      pending.cancelDeadline();
      pending.cancelDeadline = startDeadline(MAX_WAIT_MS, () => {
        pending.closed = 'no_turn';
        connection.abort(new Error('The handshake waited too long for its turn.'));
      });
    },
    async admit(connection) {
      const pending = authenticated.get(connection);
      if (pending === undefined) throw new NoTurnError();
      await queue.enter(connection);
      pending.closed = 'unfinished';
      setDeadline(connection, pending, handshakeMs);
    },
    finish(connection) {
      if (remove(connection) !== undefined) events.ended?.('ok');
    },
    pending: () => unauthenticated.size + authenticated.size,
    waiting: queue.waiting,
  };
}

/**
 * Calls the function at a deadline unless it is canceled before. Everything that arrived until the deadline is read first,
 * so the delay of a busy process does not count as silence of the other side.
 *
 * @returns cancels the deadline
 */
function startDeadline(deadlineMs: number, onDeadline: () => void): () => void {
  let isCanceled = false;
  const timer = setTimeout(() => setImmediate(() => isCanceled || onDeadline()), deadlineMs);
  return () => {
    isCanceled = true;
    clearTimeout(timer);
  };
}
