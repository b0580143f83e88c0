import { describe, expect, test } from '@jest/globals';
import { aborted } from '../../shared/signals.ts';
import { type Lane, race } from './dial-race.ts';

const settle = async (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

type Ends = 'wins' | 'fails' | 'never ends';

/** Starts a race whose pauses end only when the test ends them, and returns what happened in order. */
function startRace(lanes: ReadonlyArray<Lane<string>>, ends: Readonly<Record<string, Ends>>) {
  const events: string[] = [];
  const pauses = new Map<number, () => void>();
  const stopping = new AbortController();
  const result = race<string, { readonly name: string }>(lanes, {
    attempt: async (name, signal) => {
      events.push(`${name} starts`);
      signal.addEventListener('abort', () => events.push(`${name} is aborted`));
      if (ends[name] === 'never ends') await aborted(signal);
      return ends[name] === 'wins' ? { name } : undefined;
    },
    discard: ({ name }) => events.push(`${name} is discarded`),
    signal: stopping.signal,
    sleep: async (milliseconds, signal) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      pauses.set(milliseconds, resolve);
      await Promise.race([promise, aborted(signal)]);
    },
  });
  const endPause = async (milliseconds: number): Promise<void> => {
    await settle();
    pauses.get(milliseconds)?.();
    await settle();
  };
  return { result, events, endPause, stop: () => stopping.abort() };
}

const lane = (delayMs: number, staggerMs: number, ...candidates: string[]): Lane<string> => ({
  candidates,
  delayMs,
  staggerMs,
});

describe('a race', () => {
  test('gives the first lane a head start, and starts no other if it wins', async () => {
    const { result, events } = startRace([lane(0, 3_000, 'circuit'), lane(250, 100, 'direct')], {
      circuit: 'wins',
    });
    expect(await result).toEqual({ name: 'circuit' });
    expect(events).toEqual(['circuit starts']);
  });

  test('starts the second lane after its delay, and aborts the slower one', async () => {
    const started = startRace([lane(0, 3_000, 'circuit'), lane(250, 100, 'direct')], {
      circuit: 'never ends',
      direct: 'wins',
    });
    await settle();
    expect(started.events).toEqual(['circuit starts']);
    await started.endPause(250);
    expect(await started.result).toEqual({ name: 'direct' });
    expect(started.events).toEqual(['circuit starts', 'direct starts', 'circuit is aborted']);
  });

  test('starts the second lane at once when the first has failed or is empty', async () => {
    for (const first of [['circuit'], []]) {
      const { result } = startRace([lane(0, 3_000, ...first), lane(250, 100, 'direct')], {
        circuit: 'fails',
        direct: 'wins',
      });
      expect(await result).toEqual({ name: 'direct' });
    }
  });

  test('tries the next candidate of a lane after a failure at once, otherwise after a time', async () => {
    const { result, events, endPause } = startRace([lane(0, 3_000, 'a', 'b', 'c')], {
      a: 'fails',
      b: 'never ends',
      c: 'wins',
    });
    await endPause(3_000);
    expect(await result).toEqual({ name: 'c' });
    expect(events).toEqual(['a starts', 'b starts', 'c starts', 'b is aborted']);
  });

  test('has no winner when all have failed, and none after it was stopped', async () => {
    expect(
      await startRace([lane(0, 1, 'a'), lane(1, 1, 'b')], { a: 'fails', b: 'fails' }).result,
    ).toBeUndefined();
    const stopped = startRace([lane(0, 1, 'a')], { a: 'never ends' });
    stopped.stop();
    expect(await stopped.result).toBeUndefined();
  });
});
