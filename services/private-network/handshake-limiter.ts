// Limits pending handshakes, which anyone can start, and decides when each continues. A handshake has three stages: it
// proves the swarm key, which costs little; it waits for its turn (`handshake-queue`); then it has its turn, with the
// expensive cryptography. Each stage has its own deadline, so no device is late because this one is busy.
// Above the limit one handshake is evicted: if new ones were refused instead, an attacker with the maximum number of
// pending handshakes could block all devices. Authenticated connections (those that have proved the swarm key) are
// counted separately, and the larger group loses a connection. A flood of unauthenticated connections therefore evicts no
// authenticated one, and authenticated connections that stall do not prevent devices from authenticating.
// Of those that could be evicted, one of the address with the most pending handshakes is. A load balancer may be that
// address; then it is as if there were no addresses, and the oldest one is evicted.
import type { LoopClock } from '../shared/loop-clock.ts';
import type { ProtectionOutcome } from '../wire/psk-outcomes.ts';
import { createHandshakeQueue } from './handshake-queue.ts';

/** Maximum time that a handshake waits for its turn, in milliseconds: the longest pause of a device between two tries. */
const MAX_WAIT_MS = 60_000;

/**
 * Time for a client to prove the swarm key, in handshake deadlines. Longer, because many clients may run on one busy
 * machine, and shorter than the wait for a turn; a flood evicts them earlier.
 */
const PROOF_FACTOR = 3;

/** Interval at which deadlines are checked, in milliseconds. */
const SWEEP_INTERVAL_MS = 250;

/** Maximum handshakes that are compared for an eviction. A flood that matters has several among them. */
const MAX_COMPARED = 32;

export interface HandshakeLimits {
  /** Maximum pending handshakes. Above this limit one is evicted. */
  readonly pendingConnections: number;
  /** Deadline of a handshake from its turn on, in seconds. */
  readonly handshakeSeconds: number;
}

/** A connection in its handshake. */
export interface PendingConnection {
  /** The IPv4 address or IPv6 network of the other side. */
  readonly network: string;
  /** It changes when the other side has sent something. */
  readonly reads: number;
  /** Calls back once when the connection has closed. */
  onceClosed(callback: () => void): void;
  abort(error: Error): void;
}

/**
 * How a handshake ended. `unfinished`: it failed in its turn; `abandoned`: the client closed it while it waited;
 * `no_turn`: it waited too long.
 */
export type HandshakeEnd = ProtectionOutcome | 'unfinished' | 'abandoned' | 'no_turn';

/** Receives what happens to handshakes, for metrics and the log. */
export interface HandshakeEvents<C> {
  /** A handshake that is not evicted has ended. */
  ended?(outcome: HandshakeEnd): void;
  /** The other side has not proved the swarm key. `ended` is called as well. */
  unauthenticated?(outcome: ProtectionOutcome, connection: C): void;
  evicted?(connection: C): void;
}

export interface HandshakeLimiter<C extends PendingConnection> {
  /** Counts a connection from its start until it closes or finishes its handshake. */
  begin(connection: C): void;
  /** Records the outcome of the swarm key protection, each that is reported. */
  authenticated(outcome: ProtectionOutcome, connection: C): void;
  /** Calls back, at once or later, when it is the turn of an authenticated connection; never if it closes before. */
  admit(connection: C, onTurn: () => void): void;
  /** The handshake is finished: the peer id is verified and the muxer is chosen. */
  finish(connection: C): void;
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
  /** Deadline of its stage on the clock, in milliseconds. */
  dueMs: number;
  isAuthenticated: boolean;
  /** The outcome if the connection closes in its stage. Of an unauthenticated one, the swarm key layer reports it. */
  closed: HandshakeEnd;
}

/** @param clock clock of the silence of other sides, so that a busy process is not mistaken for it */
export function createHandshakeLimiter<C extends PendingConnection>(
  limits: HandshakeLimits,
  clock: Pick<LoopClock, 'nowMs' | 'after'>,
  events: HandshakeEvents<C> = {},
): HandshakeLimiter<C> {
  const pending = new Map<C, PendingHandshake>();
  /** In order of arrival. */
  const unproved = new Set<C>();
  const countByNetwork = new Map<string, number>();
  const evicted = new WeakSet<C>();
  const queue = createHandshakeQueue<C>();
  const handshakeMs = limits.handshakeSeconds * 1000;
  let isSweeping = false;

  function remove(connection: C): PendingHandshake | undefined {
    const handshake = pending.get(connection);
    if (handshake === undefined) return undefined;
    pending.delete(connection);
    unproved.delete(connection);
    const ofNetwork = (countByNetwork.get(connection.network) ?? 1) - 1;
    if (ofNetwork === 0) countByNetwork.delete(connection.network);
    else countByNetwork.set(connection.network, ofNetwork);
    queue.remove(connection);
    return handshake;
  }

  /** Of the first ones, the first of the network with the most pending handshakes. */
  function firstOfCrowd(connections: Iterable<C>): C | undefined {
    let found: C | undefined;
    let most = 0;
    let compared = 0;
    for (const connection of connections) {
      const count = countByNetwork.get(connection.network) ?? 0;
      if (count > most) [found, most] = [connection, count];
      compared += 1;
      if (compared === MAX_COMPARED) break;
    }
    return found;
  }

  // A quiet or silent handshake is given up first, and one that waits for the CPU last: its device does nothing wrong.
  function leastUseful(): C | undefined {
    if (unproved.size >= pending.size - unproved.size) return firstOfCrowd(unproved);
    queue.findQuiet();
    return (
      firstOfCrowd(queue.quiet()) ??
      firstOfCrowd(queue.silent()) ??
      firstOfCrowd(unproved) ??
      queue.lastWaiting() ??
      firstOfCrowd(pending.keys())
    );
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

  function sweep(): void {
    isSweeping = false;
    for (const [connection, handshake] of pending) {
      if (handshake.dueMs > clock.nowMs()) continue;
      const isWaiting = handshake.closed === 'abandoned';
      if (isWaiting) handshake.closed = 'no_turn';
      connection.abort(
        new Error(
          isWaiting ? 'The handshake waited too long for its turn.' : 'The handshake exceeded its deadline.',
        ),
      );
    }
    scheduleSweep();
  }

  function scheduleSweep(): void {
    if (isSweeping || pending.size === 0) return;
    isSweeping = true;
    clock.after(SWEEP_INTERVAL_MS, sweep);
  }

  return {
    begin(connection) {
      if (pending.size >= limits.pendingConnections) evict();
      const dueMs = clock.nowMs() + PROOF_FACTOR * handshakeMs;
      pending.set(connection, { dueMs, isAuthenticated: false, closed: 'unfinished' });
      unproved.add(connection);
      countByNetwork.set(connection.network, (countByNetwork.get(connection.network) ?? 0) + 1);
      connection.onceClosed(() => {
        const handshake = remove(connection);
        if (handshake?.isAuthenticated === true) events.ended?.(handshake.closed);
      });
      scheduleSweep();
    },
    authenticated(outcome, connection) {
      // Its eviction is already reported.
      if (evicted.has(connection)) return;
      const handshake = pending.get(connection);
      if (outcome === 'ok') {
        if (handshake === undefined) return;
        unproved.delete(connection);
        handshake.isAuthenticated = true;
        handshake.closed = 'abandoned';
        handshake.dueMs = clock.nowMs() + MAX_WAIT_MS;
      } else if (handshake?.isAuthenticated === true) {
        handshake.closed = outcome;
      } else {
        // Maybe it has closed before, because that is the reason.
        remove(connection);
        events.ended?.(outcome);
        events.unauthenticated?.(outcome, connection);
      }
    },
    admit(connection, onTurn) {
      const handshake = pending.get(connection);
      if (handshake === undefined) return;
      queue.enter(connection, () => {
        handshake.closed = 'unfinished';
        handshake.dueMs = clock.nowMs() + handshakeMs;
        onTurn();
      });
    },
    finish(connection) {
      if (remove(connection) !== undefined) events.ended?.('ok');
    },
    pending: () => pending.size,
    waiting: queue.waiting,
  };
}
