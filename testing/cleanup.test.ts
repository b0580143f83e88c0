import { expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from './cleanup.ts';

test('the steps run in reverse order, one after the other', async () => {
  const order: string[] = [];
  onCleanup(() => order.push('first'));
  onCleanup(async () => {
    await Promise.resolve();
    order.push('second');
  });
  await cleanUp();
  expect(order).toEqual(['second', 'first']);
});

test('the failure of a step does not prevent the other steps, and its error is thrown', async () => {
  const order: string[] = [];
  const failure = new Error('The port is in use.');
  onCleanup(() => order.push('first'));
  onCleanup(() => {
    throw failure;
  });
  await expect(cleanUp()).rejects.toBe(failure);
  expect(order).toEqual(['first']);
});

test('the errors of several steps are thrown together', async () => {
  const failures = [new Error('a'), new Error('b')];
  for (const failure of failures) onCleanup(async () => Promise.reject(failure));
  await expect(cleanUp()).rejects.toMatchObject({ errors: failures.toReversed() });
});

test('a step runs only once', async () => {
  let runs = 0;
  onCleanup(() => (runs += 1));
  await cleanUp();
  await cleanUp();
  expect(runs).toBe(1);
});
