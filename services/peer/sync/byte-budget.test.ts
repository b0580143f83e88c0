import { describe, expect, test } from '@jest/globals';
import { createByteBudget } from './byte-budget.ts';

const never = new AbortController().signal;

describe('the bytes of messages that arrive', () => {
  test('are granted up to the limit; one message at a time may exceed it', async () => {
    const budget = createByteBudget(100);
    const [a, b, c] = [budget.open(), budget.open(), budget.open()];
    expect(a.grow(60, never)).toBe(true);
    expect(b.grow(40, never)).toBe(true);
    expect(b.grow(5_000, never)).toBe(true);
    expect(b.grow(9_000, never)).toBe(true);
    // What the large one had is free again.
    expect(c.grow(40, never)).toBe(true);
    const waiting = c.grow(41, never);
    a.release();
    expect(await waiting).toBe(true);
  });

  test('never wait for each other for ever', async () => {
    const budget = createByteBudget(100);
    const holds = Array.from({ length: 10 }, () => budget.open());
    for (const hold of holds) expect(hold.grow(10, never)).toBe(true);
    const done: boolean[] = [];
    const all = holds.map(async (hold) => {
      done.push(await hold.grow(1_000, never));
      hold.release();
    });
    await Promise.all(all);
    expect(done).toEqual(holds.map(() => true));
  });

  test('are refused when the time to wait ends, and a wait is in order of arrival', async () => {
    const budget = createByteBudget(10);
    const [large, first, second] = [budget.open(), budget.open(), budget.open()];
    expect(large.grow(1_000, never)).toBe(true);
    const controller = new AbortController();
    const refused = first.grow(500, controller.signal);
    const later = second.grow(1, never);
    controller.abort();
    expect(await refused).toBe(false);
    first.release();
    large.release();
    expect(await later).toBe(true);
    expect(await budget.open().grow(500, AbortSignal.abort())).toBe(true);
  });

  test('of one that ends while it waits are not reserved', async () => {
    const budget = createByteBudget(10);
    const [large, left] = [budget.open(), budget.open()];
    expect(large.grow(1_000, never)).toBe(true);
    const waiting = left.grow(500, never);
    left.release();
    expect(await waiting).toBe(false);
    large.release();
    const next = budget.open();
    expect(next.grow(500, never)).toBe(true);
    next.release();
    expect(budget.open().grow(10, never)).toBe(true);
  });

  test('are granted to the next one when one that waits before it gives up', async () => {
    const budget = createByteBudget(10);
    const [large, first, second] = [budget.open(), budget.open(), budget.open()];
    expect(large.grow(1_000, never)).toBe(true);
    const controller = new AbortController();
    const refused = first.grow(500, controller.signal);
    const next = second.grow(1, never);
    controller.abort();
    expect(await refused).toBe(false);
    expect(await next).toBe(true);
  });
});
