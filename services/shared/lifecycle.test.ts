import { describe, expect, test } from '@jest/globals';
import { createHealth, createLifecycle, type Part } from './lifecycle.ts';
import { createLogger } from './log.ts';

const log = createLogger('test', 'silent');

function recorder(): { events: string[]; part(name: string, overrides?: Partial<Part>): Part } {
  const events: string[] = [];
  return {
    events,
    part: (name, overrides = {}) => ({
      name,
      start: async () => void events.push(`start ${name}`),
      stop: async () => void events.push(`stop ${name}`),
      ...overrides,
    }),
  };
}

function lifecycle(parts: Part[], drainMs = 5_000, deadlineMs = 5_000) {
  const health = createHealth();
  return { health, ...createLifecycle(parts, { log, health, drainMs, deadlineMs }) };
}

describe('a lifecycle', () => {
  test('starts in order, is ready only then, and stops in reverse', async () => {
    const { events, part } = recorder();
    const { health, start, stop } = lifecycle([part('a'), part('b')]);
    expect(health.problems()).toEqual({ lifecycle: 'starting or stopping' });
    await start();
    expect(health.problems()).toEqual({});
    expect(await stop()).toBe(0);
    expect(events).toEqual(['start a', 'start b', 'stop b', 'stop a']);
    expect(health.problems()).toEqual({ lifecycle: 'starting or stopping' });
  });

  test('whose part fails to start stops what had started and says which part', async () => {
    const { events, part } = recorder();
    const failing = part('b', { start: () => Promise.reject(new Error('address in use')) });
    const { start } = lifecycle([part('a'), failing, part('c')]);
    await expect(start()).rejects.toThrow('b could not start');
    expect(events).toEqual(['start a', 'stop b', 'stop a']);
  });

  test('whose part hangs while starting gives up at the deadline', async () => {
    const { part } = recorder();
    const { start } = lifecycle([part('a', { start: () => new Promise(() => {}) })], 5_000, 10);
    await expect(start()).rejects.toMatchObject({ cause: { message: 'a did not start within 10 ms' } });
  });

  test('is unready while it drains, and stops parts only when all have drained', async () => {
    const { events, part } = recorder();
    const drained = Promise.withResolvers<void>();
    const parts = [part('a'), part('b', { drain: () => drained.promise })];
    const { health, start, stop } = lifecycle(parts);
    await start();
    const stopped = stop();
    expect(health.problems()).not.toEqual({});
    expect(events).toEqual(['start a', 'start b']);
    drained.resolve();
    await stopped;
    expect(events.slice(2)).toEqual(['stop b', 'stop a']);
  });

  test('whose drain hangs stops when hurried', async () => {
    const { events, part } = recorder();
    const { start, stop, hurry } = lifecycle([part('a', { drain: () => new Promise(() => {}) })], 60_000);
    await start();
    const stopped = stop();
    hurry();
    await stopped;
    expect(events).toEqual(['start a', 'stop a']);
  });

  test('whose part fails to stop stops the others and counts the failure', async () => {
    const { events, part } = recorder();
    const parts = [part('a'), part('b', { stop: () => Promise.reject(new Error('no')) })];
    const { start, stop } = lifecycle(parts);
    await start();
    expect(await stop()).toBe(1);
    expect(events).toEqual(['start a', 'start b', 'stop a']);
  });

  test('is unready with the reason while a check fails', () => {
    const health = createHealth();
    health.setServing(true);
    let problem: string | undefined = 'no answer';
    health.addCheck('redis', () => problem);
    expect(health.problems()).toEqual({ redis: 'no answer' });
    problem = undefined;
    expect(health.problems()).toEqual({});
  });
});
