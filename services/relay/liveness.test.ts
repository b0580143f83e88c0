import { describe, expect, test } from '@jest/globals';
import type { MultiaddrConnection } from '@libp2p/interface';
import { createManualClock } from '../../testing/manual-clock.ts';
import { QUIET_MS } from './liveness-limits.ts';
import { createLiveness } from './liveness.ts';

/** The members of a connection that are used, with its events. */
class TestConnection extends EventTarget {
  readonly timeline = { open: 0 };
  readStatus = 'readable';
  status = 'open';
  writableNeedsDrain = false;

  receive(): void {
    this.dispatchEvent(new Event('message'));
  }
}

function setUp() {
  const clock = createManualClock();
  const liveness = createLiveness(clock);
  const connection = new TestConnection();
  const watched = connection as unknown as MultiaddrConnection;
  liveness.watch(watched);
  return { clock, liveness, connection, watched };
}

describe('a connection', () => {
  test('is quiet when no byte arrives, until one does', () => {
    const { clock, liveness, connection, watched } = setUp();
    clock.advance(QUIET_MS);
    expect(liveness.isQuiet(watched)).toBe(false);
    clock.advance(1);
    expect(liveness.isQuiet(watched)).toBe(true);
    connection.receive();
    expect(liveness.isQuiet(watched)).toBe(false);
  });

  test('is not quiet while the relay does not read from it, and for as long again afterwards', () => {
    const { clock, liveness, connection, watched } = setUp();
    connection.readStatus = 'paused';
    clock.advance(10 * QUIET_MS);
    expect(liveness.quietMs(watched)).toBe(0);
    connection.readStatus = 'readable';
    clock.advance(QUIET_MS);
    expect(liveness.isQuiet(watched)).toBe(false);
  });

  test('leaves a request unanswered only when no byte arrived since, and until the next byte', () => {
    const { liveness, connection, watched } = setUp();
    const answered = liveness.listen(watched);
    connection.receive();
    expect([answered.markUnanswered(), liveness.isUnanswered(watched)]).toEqual([false, false]);
    const unanswered = liveness.listen(watched);
    expect([unanswered.markUnanswered(), liveness.isUnanswered(watched)]).toEqual([true, true]);
    connection.receive();
    expect(liveness.isUnanswered(watched)).toBe(false);
  });

  test('that closes ends the wait for a byte', async () => {
    const { liveness, connection, watched } = setUp();
    const wait = liveness.listen(watched).within(1_000);
    connection.dispatchEvent(new Event('close'));
    expect(await wait).toBe(false);
  });
});
