import { describe, expect, test } from '@jest/globals';
import { aborted, anySignal, withinDeadline } from './signals.ts';

describe('aborted', () => {
  test('resolves when the signal aborts', async () => {
    const controller = new AbortController();
    const wait = aborted(controller.signal);
    controller.abort();
    await expect(wait).resolves.toBeUndefined();
  });

  test('resolves for a signal that is already aborted', async () => {
    await expect(aborted(AbortSignal.abort())).resolves.toBeUndefined();
  });
});

describe('anySignal', () => {
  test('aborts with the first of the signals, and skips absent ones', () => {
    const [first, second] = [new AbortController(), new AbortController()];
    const signal = anySignal(first.signal, undefined, second.signal);
    expect(signal.aborted).toBe(false);
    const reason = new Error('second');
    second.abort(reason);
    expect(signal.reason).toBe(reason);
  });

  test('does not abort without a signal', () => {
    expect(anySignal(undefined).aborted).toBe(false);
  });
});

function countTimers(): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;
}

describe('withinDeadline', () => {
  test('returns the result of work that ends in time', async () => {
    await expect(withinDeadline(60_000, Promise.resolve(7), 'The work did not end.')).resolves.toBe(7);
  });

  test('rejects with the error of work that fails in time', async () => {
    const failure = new Error('no');
    await expect(withinDeadline(60_000, Promise.reject(failure), 'The work did not end.')).rejects.toBe(
      failure,
    );
  });

  test('rejects with the message when the deadline passes', async () => {
    await expect(withinDeadline(1, new Promise(() => {}), 'The work did not end.')).rejects.toThrow(
      'The work did not end.',
    );
  });

  test('leaves no timer running', async () => {
    const before = countTimers();
    await withinDeadline(60_000, Promise.resolve(), 'The work did not end.');
    expect(countTimers()).toBe(before);
  });
});
