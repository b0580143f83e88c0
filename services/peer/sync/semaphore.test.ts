import { describe, expect, test } from '@jest/globals';
import { createTurns, type Turn } from './semaphore.ts';

const never = new AbortController().signal;
const limits = { most: 2, mostPerPeer: 2, mostWaiting: 2, patienceMs: 60_000 };

function release(turn: Turn | undefined): void {
  if (turn === undefined || 'refusal' in turn) throw new Error('there was no turn to release');
  turn.release();
}

describe('a turn', () => {
  test('beyond the most is waited for, and comes in the order of asking', async () => {
    const turns = createTurns(limits);
    const first = await turns.take('a', never);
    await turns.take('b', never);
    const came: string[] = [];
    const third = turns.take('c', never).then((turn) => (came.push('c'), turn));
    const fourth = turns.take('d', never).then((turn) => (came.push('d'), turn));
    release(first);
    release(await third);
    expect('release' in (await fourth)).toBe(true);
    expect(came).toEqual(['c', 'd']);
  });

  test('is refused when as many wait as may, and there again when they have gone', async () => {
    const turns = createTurns({ ...limits, most: 1, mostWaiting: 1 });
    const first = await turns.take('a', never);
    const second = turns.take('b', never);
    expect(await turns.take('c', never)).toEqual({ refusal: 'too many pulls at once' });
    release(first);
    release(await second);
    release(await turns.take('c', never));
  });

  test('of one peer counts also while it waits', async () => {
    const turns = createTurns({ ...limits, most: 1, mostPerPeer: 2 });
    const first = await turns.take('a', never);
    const second = turns.take('a', never);
    expect(await turns.take('a', never)).toEqual({ refusal: 'too many pulls of this peer at once' });
    release(first);
    release(await second);
    release(await turns.take('a', never));
  });

  test('that nobody hands over in time is refused, and leaves nothing behind', async () => {
    const turns = createTurns({ ...limits, most: 1, mostPerPeer: 1, patienceMs: 20 });
    const first = await turns.take('a', never);
    expect(await turns.take('b', never)).toEqual({ refusal: 'too many pulls at once' });
    const ended = AbortSignal.abort();
    expect(await turns.take('b', ended)).toEqual({ refusal: 'too many pulls at once' });
    release(first);
    release(await turns.take('b', never));
    release(await turns.take('a', never));
  });
});
