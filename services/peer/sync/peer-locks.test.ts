import { expect, test } from '@jest/globals';
import { createPeerLocks } from './peer-locks.ts';

const never = new AbortController().signal;

test('the pushes of one peer are in work one after the other, those of different peers at the same time', async () => {
  const locks = createPeerLocks();
  const first = await locks.acquire('a', never);
  const order: string[] = [];
  const waiting = ['second', 'third'].map(async (name) => {
    const end = await locks.acquire('a', never);
    order.push(name);
    await new Promise(setImmediate);
    order.push(`end of ${name}`);
    end?.();
  });
  expect(await locks.acquire('b', never)).toBeDefined();
  await new Promise(setImmediate);
  expect(order).toEqual([]);
  first?.();
  await Promise.all(waiting);
  expect(order).toEqual(['second', 'end of second', 'third', 'end of third']);
});

test('a push whose answer is due does not wait longer, and the next one is not affected', async () => {
  const locks = createPeerLocks();
  const end = await locks.acquire('a', never);
  const due = new AbortController();
  const late = locks.acquire('a', due.signal);
  due.abort();
  expect(await late).toBeUndefined();
  end?.();
  expect(await locks.acquire('a', never)).toBeDefined();
});
