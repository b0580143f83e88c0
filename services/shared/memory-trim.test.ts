import { afterEach, expect, jest, test } from '@jest/globals';
import { createMemoryTrim } from './memory-trim.ts';

afterEach(() => void jest.useRealTimers());

test('memory is returned again and again, until the end', async () => {
  jest.useFakeTimers();
  const calls: number[] = [];
  const trim = createMemoryTrim(() => calls.push(Date.now()));
  await trim.start();
  jest.advanceTimersByTime(10_000);
  expect(calls).toHaveLength(5);
  await trim.stop();
  jest.advanceTimersByTime(10_000);
  expect(calls).toHaveLength(5);
});
