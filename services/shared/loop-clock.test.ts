import { createServer, connect, type AddressInfo } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { until } from '../../testing/wait.ts';
import { createLoopClock, loopTimeout } from './loop-clock.ts';

afterEach(cleanUp);

/** Blocks the event loop. */
function block(durationMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, durationMs);
}

test('a deadline passes after the bytes that arrived while the event loop was blocked were read', async () => {
  const clock = createLoopClock();
  onCleanup(clock.stop);
  const events: string[] = [];
  const server = createServer((socket) => socket.on('data', () => events.push('byte')));
  const listening = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', listening.resolve);
  await listening.promise;
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  onCleanup(() => void (client.destroy(), server.close()));
  await until(() => !client.connecting, 'the client is connected');
  clock.after(1_000, () => events.push('deadline'));
  client.write('x');
  block(3_000);
  await until(() => events.length === 2, 'the byte and the deadline');
  expect(events).toEqual(['byte', 'deadline']);
});

test('time in which the process did not run is hardly counted', async () => {
  const clock = createLoopClock();
  onCleanup(clock.stop);
  const beforeMs = clock.nowMs();
  let steps = 0;
  clock.after(0, () => (steps += 1));
  block(5_000);
  await until(() => steps === 1, 'the clock has advanced');
  expect(clock.nowMs() - beforeMs).toBeLessThan(5_000);
});

test('a call that was canceled is not made, and a timeout aborts its signal', async () => {
  const clock = createLoopClock();
  onCleanup(clock.stop);
  let isCalled = false;
  const cancel = clock.after(0, () => (isCalled = true));
  cancel();
  const signal = loopTimeout(clock, 50);
  await until(() => signal.aborted, 'the signal is aborted');
  expect(isCalled).toBe(false);
});
