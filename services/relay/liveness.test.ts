import { describe, expect, test } from '@jest/globals';
import { createManualClock, type ManualClock } from '../../testing/manual-clock.ts';
import { QUIET_MS } from './liveness-limits.ts';
import { createLiveness, type HeardConnection } from './liveness.ts';

/** A connection without a socket. */
class TestConnection implements HeardConnection {
  heardAtMs = 0;
  reads = 0;
  unansweredReads: number | undefined;
  isOpen = true;
  isReadPaused = false;
  hasUnsentBytes = false;
  readonly #clock: ManualClock;
  readonly #readCallbacks = new Set<() => void>();
  readonly #closeCallbacks = new Set<() => void>();

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  receive(): void {
    this.heardAtMs = this.#clock.nowMs();
    this.reads += 1;
    for (const callback of this.#readCallbacks) callback();
  }

  close(): void {
    for (const callback of this.#closeCallbacks) callback();
  }

  onNextRead(callback: () => void): () => void {
    this.#readCallbacks.add(callback);
    return () => void this.#readCallbacks.delete(callback);
  }

  onceClosed(callback: () => void): () => void {
    this.#closeCallbacks.add(callback);
    return () => void this.#closeCallbacks.delete(callback);
  }
}

function setUp() {
  const clock = createManualClock();
  const connection = new TestConnection(clock);
  return { clock, liveness: createLiveness(clock), connection };
}

describe('a connection', () => {
  test('is quiet when no byte arrives, until one does', () => {
    const { clock, liveness, connection } = setUp();
    clock.advance(QUIET_MS);
    expect(liveness.isQuiet(connection)).toBe(false);
    clock.advance(1);
    expect(liveness.isQuiet(connection)).toBe(true);
    connection.receive();
    expect(liveness.isQuiet(connection)).toBe(false);
  });

  test('is not quiet while the relay does not read from it, and for as long again afterwards', () => {
    const { clock, liveness, connection } = setUp();
    connection.isReadPaused = true;
    clock.advance(10 * QUIET_MS);
    expect(liveness.quietMs(connection)).toBe(0);
    connection.isReadPaused = false;
    clock.advance(QUIET_MS);
    expect(liveness.isQuiet(connection)).toBe(false);
  });

  test('leaves a request unanswered only when no byte arrived since, and until the next byte', () => {
    const { liveness, connection } = setUp();
    const answered = liveness.listen(connection);
    connection.receive();
    expect([answered.markUnanswered(), liveness.isUnanswered(connection)]).toEqual([false, false]);
    const unanswered = liveness.listen(connection);
    expect([unanswered.markUnanswered(), liveness.isUnanswered(connection)]).toEqual([true, true]);
    connection.receive();
    expect(liveness.isUnanswered(connection)).toBe(false);
  });

  test('that closes ends the wait for a byte', async () => {
    const { liveness, connection } = setUp();
    const wait = liveness.listen(connection).within(1_000);
    connection.close();
    expect(await wait).toBe(false);
  });
});
