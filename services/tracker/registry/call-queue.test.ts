import { describe, expect, test } from '@jest/globals';
import { createCallQueue } from './call-queue.ts';
import { RegistryOverloadedError } from './registry.ts';

const LIMITS = { running: 2, waiting: 3, waitingBytes: 100, waitMs: 5_000 };

/** A queue with a clock that the test sets, and calls that the test completes. */
function setUp() {
  let ms = 0;
  const queue = createCallQueue(LIMITS, () => ms);
  const started: number[] = [];
  const ends = new Map<number, PromiseWithResolvers<void>>();
  const call = (number: number, bytes = 10): Promise<number> =>
    queue.run(bytes, async () => {
      started.push(number);
      const end = Promise.withResolvers<void>();
      ends.set(number, end);
      await end.promise;
      return number;
    });
  const end = (number: number): void => ends.get(number)?.resolve();
  return { call, end, started, advance: (byMs: number) => void (ms += byMs) };
}

describe('the queue of calls', () => {
  test('runs a limited number of calls and starts the others in order of arrival', async () => {
    const { call, end, started } = setUp();
    const calls = [1, 2, 3, 4].map((number) => call(number));
    expect(started).toEqual([1, 2]);
    end(2);
    expect(await calls[1]).toBe(2);
    end(1);
    expect(await calls[0]).toBe(1);
    end(3);
    end(4);
    expect(await Promise.all(calls)).toEqual([1, 2, 3, 4]);
    expect(started).toEqual([1, 2, 3, 4]);
  });

  test('refuses calls above the maximum number of waiting ones', async () => {
    const { call, end } = setUp();
    const calls = [1, 2, 3, 4, 5].map((number) => call(number));
    await expect(call(6)).rejects.toThrow(RegistryOverloadedError);
    for (const number of [1, 2, 3, 4, 5]) {
      end(number);
      expect(await calls[number - 1]).toBe(number);
    }
  });

  test('refuses calls above the maximum bytes of waiting ones', async () => {
    const { call, end } = setUp();
    const calls = [call(1, 1_000), call(2, 1_000), call(3, 60)];
    await expect(call(4, 60)).rejects.toThrow(RegistryOverloadedError);
    end(1);
    await calls[0];
    const later = call(4, 60);
    for (const number of [2, 3]) {
      end(number);
      await calls[number - 1];
    }
    end(4);
    expect(await later).toBe(4);
  });

  test('refuses a call that waited too long, and does not run it', async () => {
    const { call, end, started, advance } = setUp();
    const calls = [call(1), call(2)];
    const late = call(3);
    advance(LIMITS.waitMs + 1);
    await expect(late).rejects.toMatchObject({ code: 'REGISTRY_OVERLOADED' });
    end(1);
    end(2);
    await Promise.all(calls);
    expect(started).toEqual([1, 2]);
  });

  test('rejects with the error of a call, and starts the next one', async () => {
    const queue = createCallQueue({ ...LIMITS, running: 1 }, () => 0);
    const failing = queue.run(0, () => Promise.reject(new Error('fault')));
    const next = queue.run(0, async () => 'next');
    await expect(failing).rejects.toThrow('fault');
    expect(await next).toBe('next');
  });
});
