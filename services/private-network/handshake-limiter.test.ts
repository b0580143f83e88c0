import { setImmediate as nextRound } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import { createHandshakeLimiter, type PendingConnection } from './handshake-limiter.ts';

afterEach(cleanUp);

class Connection implements PendingConnection {
  readonly network: string;
  reads = 0;
  error: Error | undefined;
  isEvicted = false;
  isFinished = false;
  hasTurn = false;
  #onClosed: () => void = () => {};

  constructor(network: string) {
    this.network = network;
  }

  onceClosed(callback: () => void): void {
    this.#onClosed = callback;
  }

  abort(error: Error): void {
    this.error = error;
    this.close();
  }

  close(): void {
    this.#onClosed();
  }
}

function setUp(pendingConnections: number) {
  const clock = createManualClock();
  const ended: string[] = [];
  const limiter = createHandshakeLimiter<Connection>({ pendingConnections, handshakeSeconds: 10 }, clock, {
    ended: (outcome) => ended.push(outcome),
    evicted: (connection) => (connection.isEvicted = true),
  });
  const open: Connection[] = [];
  onCleanup(() => open.forEach((connection) => connection.close()));
  function begin(network = '192.0.2.1'): Connection {
    const connection = new Connection(network);
    open.push(connection);
    limiter.begin(connection);
    return connection;
  }
  function authenticate(connection: Connection): Connection {
    limiter.authenticated('ok', connection);
    limiter.admit(connection, () => (connection.hasTurn = true));
    return connection;
  }
  return { clock, ended, limiter, begin, authenticate };
}

describe('a handshake', () => {
  test('that proves the key, gets its turn and finishes is not pending any more', () => {
    const { limiter, begin, authenticate, ended } = setUp(4);
    const connection = authenticate(begin());
    expect({ hasTurn: connection.hasTurn, pending: limiter.pending() }).toEqual({
      hasTurn: true,
      pending: 1,
    });
    limiter.finish(connection);
    connection.close();
    expect({ ended, pending: limiter.pending() }).toEqual({ ended: ['ok'], pending: 0 });
  });

  test('is aborted at the deadline of its stage', () => {
    const { clock, begin, authenticate, ended } = setUp(100);
    const unproved = begin();
    const inTurn = Array.from({ length: 17 }, () => authenticate(begin()));
    const waiting = inTurn[16];
    clock.advance(9_000);
    expect(inTurn.every(({ error }) => error === undefined)).toBe(true);
    clock.advance(2_000);
    expect(inTurn[0]?.error?.message).toBe('The handshake exceeded its deadline.');
    expect({ unproved: unproved.error, waiting: waiting?.hasTurn }).toEqual({
      unproved: undefined,
      waiting: true,
    });
    clock.advance(20_000);
    expect(unproved.error?.message).toBe('The handshake exceeded its deadline.');
    expect(ended.every((outcome) => outcome === 'unfinished')).toBe(true);
  });

  test('ends with the reason of its stage', () => {
    const { limiter, begin, authenticate, ended } = setUp(100);
    const failed = begin();
    limiter.authenticated('http', failed);
    failed.close();
    const closed = begin();
    closed.close();
    limiter.authenticated('no_nonce', closed);
    const early = begin();
    limiter.authenticated('ok', early);
    limiter.authenticated('early_bytes', early);
    early.close();
    const inTurn = Array.from({ length: 16 }, () => authenticate(begin()));
    authenticate(begin()).close();
    inTurn[0]?.close();
    expect(ended).toEqual(['http', 'no_nonce', 'early_bytes', 'abandoned', 'unfinished']);
  });
});

describe('above the maximum', () => {
  test('the larger group loses one: unauthenticated ones evict no authenticated one', async () => {
    const { begin, authenticate } = setUp(8);
    const authenticated = [authenticate(begin()), authenticate(begin())];
    const flood = Array.from({ length: 50 }, () => begin());
    expect(authenticated.some(({ isEvicted }) => isEvicted)).toBe(false);
    expect(flood.filter(({ isEvicted }) => !isEvicted)).toEqual(flood.slice(-6));
    await nextRound();
  });

  test('a flood from one address evicts its own, before and after it has proved the key', async () => {
    for (const isMember of [false, true]) {
      const { begin, authenticate } = setUp(32);
      const honest: Connection[] = [];
      for (let index = 0; index < 400; index += 1) {
        const flooding = begin('198.51.100.7');
        if (isMember) authenticate(flooding);
        if (index % 40 === 0) honest.push(authenticate(begin(`192.0.2.${index / 40}`)));
        await nextRound();
      }
      expect(honest.filter(({ isEvicted, hasTurn }) => isEvicted || !hasTurn)).toEqual([]);
    }
  });

  test.each([
    ['another address than', '192.0.2.1', 60],
    ['the same address as', '198.51.100.7', 20],
  ])('devices of %s members that open connections and say nothing finish', async (_, network, roundTrip) => {
    const { limiter, begin, authenticate } = setUp(32);
    const honest: Connection[] = [];
    for (let round = 0; round < 400; round += 1) {
      authenticate(begin('198.51.100.7'));
      if (round % 10 === 0) honest.push(begin(network));
      const [proving] = honest.slice(-1);
      if (proving !== undefined && round % 10 === 1) authenticate(proving);
      const answering = honest[Math.floor((round - roundTrip) / 10)];
      if (answering !== undefined && !answering.isEvicted && !answering.isFinished) {
        answering.reads += 1;
        answering.isFinished = answering.hasTurn;
        limiter.finish(answering);
      }
      await nextRound();
    }
    expect(honest.filter(({ isEvicted }) => isEvicted)).toEqual([]);
    expect(honest.filter(({ isFinished }) => isFinished).length).toBeGreaterThan(30);
  });
});
