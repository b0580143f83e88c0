import { createServer, connect, type AddressInfo } from 'node:net';
import { afterEach, expect, jest, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { until } from '../../testing/wait.ts';
import { createLoopClock, LOOP_STEP_MS, loopTimeout } from './loop-clock.ts';

afterEach(async () => {
  jest.useRealTimers();
  jest.restoreAllMocks();
  await cleanUp();
});

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

test('a clock on which nobody waits shows the time, and steps once in a second', async () => {
  jest.useFakeTimers();
  const timers = jest.spyOn(globalThis, 'setTimeout');
  const clock = createLoopClock();
  onCleanup(clock.stop);
  for (let part = 1; part <= 40; part += 1) {
    await jest.advanceTimersByTimeAsync(250);
    expect(clock.nowMs()).toBe(part * 250);
  }
  expect(timers.mock.calls.length).toBeLessThanOrEqual(12);
});

test('a deadline has the same resolution after a rest', async () => {
  jest.useFakeTimers();
  const clock = createLoopClock();
  onCleanup(clock.stop);
  for (const restMs of [150, 900, 1_000, 5_950]) {
    await jest.advanceTimersByTimeAsync(restMs);
    let isCalled = false;
    clock.after(250, () => (isCalled = true));
    await jest.advanceTimersByTimeAsync(249);
    expect(isCalled).toBe(false);
    await jest.advanceTimersByTimeAsync(LOOP_STEP_MS + 1);
    expect(isCalled).toBe(true);
  }
});

test('a deadline that is set while a step is on its way passes once, and the clock steps once in its interval', async () => {
  jest.useFakeTimers();
  const clock = createLoopClock();
  onCleanup(clock.stop);
  // The timer of the step was started before this one, so the callback runs between the timer and its immediate.
  let calls = 0;
  const set = Promise.withResolvers<void>();
  setTimeout(() => {
    clock.after(50, () => (calls += 1));
    clock.after(60_000, () => undefined);
    set.resolve();
  }, 1_000);
  await jest.advanceTimersByTimeAsync(1_000);
  await set.promise;
  const timers = jest.spyOn(globalThis, 'setTimeout');
  await jest.advanceTimersByTimeAsync(1_000);
  expect(calls).toBe(1);
  expect(timers.mock.calls.length).toBeLessThanOrEqual(11);
});

test('during a rest, too, time in which the process did not run is hardly counted', () => {
  const clock = createLoopClock();
  onCleanup(clock.stop);
  block(2_000);
  expect(clock.nowMs()).toBeLessThan(2_000);
  expect(clock.nowMs()).toBeLessThan(2_000);
});
