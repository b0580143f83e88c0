import { afterEach, expect, jest, test } from '@jest/globals';
import { createMemoryTrim } from './memory-trim.ts';

afterEach(() => void jest.useRealTimers());

test('memory is returned again and again, until the end', () => {
  jest.useFakeTimers();
  const trim = createMemoryTrim();
  trim.start();
  jest.advanceTimersByTime(10_000);
  trim.stop();
  expect(jest.getTimerCount()).toBe(0);
});
