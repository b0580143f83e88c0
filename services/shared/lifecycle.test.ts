import { describe, expect, test } from '@jest/globals';
import { ConfigError } from './errors.ts';
import { type Component, createHealth, createLifecycle } from './lifecycle.ts';
import { createLogger } from './log.ts';

const log = createLogger('test', 'silent');

/** Components that record their starts and stops in one list. */
function recorder(): {
  events: string[];
  component(name: string, overrides?: Partial<Component>): Component;
} {
  const events: string[] = [];
  return {
    events,
    component: (name, overrides = {}) => ({
      name,
      start: async () => void events.push(`start ${name}`),
      stop: async () => void events.push(`stop ${name}`),
      ...overrides,
    }),
  };
}

function lifecycle(components: Component[], { drainMs = 60_000, deadlineMs = 60_000 } = {}) {
  const health = createHealth();
  return { health, ...createLifecycle(components, { log, health, drainMs, deadlineMs }) };
}

const never = (): Promise<never> => new Promise(() => {});

describe('a lifecycle', () => {
  test('starts components in order, is ready afterwards, and stops them in reverse order', async () => {
    const { events, component } = recorder();
    const { health, start, stop } = lifecycle([component('a'), component('b')]);
    expect(health.problems()).toEqual({ lifecycle: 'starting or stopping' });
    await start();
    expect(health.problems()).toEqual({});
    expect(await stop()).toBe(0);
    expect(events).toEqual(['start a', 'start b', 'stop b', 'stop a']);
    expect(health.problems()).toEqual({ lifecycle: 'starting or stopping' });
  });

  test('stops the started components when one fails to start, and names it', async () => {
    const { events, component } = recorder();
    const cause = new Error('The address is in use.');
    const failing = component('b', { start: () => Promise.reject(cause) });
    const { start } = lifecycle([component('a'), failing, component('c')]);
    await expect(start()).rejects.toEqual(new Error('The b could not start.', { cause }));
    expect(events).toEqual(['start a', 'stop b', 'stop a']);
  });

  test('rethrows a ConfigError that is detected at start', async () => {
    const { component } = recorder();
    const error = new ConfigError(['T_URL: no route.']);
    const { start } = lifecycle([component('a', { start: () => Promise.reject(error) })]);
    await expect(start()).rejects.toBe(error);
  });

  test('fails at the deadline when a component does not start', async () => {
    const { component } = recorder();
    const { start } = lifecycle([component('a', { start: never })], { deadlineMs: 10 });
    await expect(start()).rejects.toMatchObject({ cause: { message: 'The a did not start within 10 ms.' } });
  });

  test('is unready during the drain, and stops components only when all have drained', async () => {
    const { events, component } = recorder();
    const drained = Promise.withResolvers<void>();
    const { health, start, stop } = lifecycle([
      component('a'),
      component('b', { drain: () => drained.promise }),
    ]);
    await start();
    const stopped = stop();
    expect(health.problems()).not.toEqual({});
    expect(events).toEqual(['start a', 'start b']);
    drained.resolve();
    await stopped;
    expect(events.slice(2)).toEqual(['stop b', 'stop a']);
  });

  test('stops when the drain deadline passes', async () => {
    const { events, component } = recorder();
    const { start, stop } = lifecycle([component('a', { drain: never })], { drainMs: 10 });
    await start();
    expect(await stop()).toBe(0);
    expect(events).toEqual(['start a', 'stop a']);
  });

  test('stops when the drain is aborted', async () => {
    const { events, component } = recorder();
    const { start, stop, abortDrain } = lifecycle([component('a', { drain: never })]);
    await start();
    const stopped = stop();
    abortDrain();
    await stopped;
    expect(events).toEqual(['start a', 'stop a']);
  });

  test('stops the other components when one fails to stop, and returns the number of failures', async () => {
    const { events, component } = recorder();
    const failing = component('b', { stop: () => Promise.reject(new Error('no')) });
    const hanging = component('c', { stop: never });
    const { start, stop } = lifecycle([component('a'), failing, hanging], { deadlineMs: 50 });
    await start();
    expect(await stop()).toBe(2);
    expect(events).toEqual(['start a', 'start b', 'start c', 'stop a']);
  });
});

describe('health', () => {
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
