import { describe, expect, test } from '@jest/globals';
import { makeEntries } from '../../../testing/peer.ts';
import { createRoundBudget, type TurnTimes } from './round-budget.ts';

const LIMITS = { roundMs: 1_000, roundBytes: 10_000_000, peerBytes: 4_000_000 };
const TIMES: TurnTimes = { dialMs: 1, turnMs: 100, abortMs: 100 };

function createBudget() {
  const clock = { ms: 0 };
  return { clock, budget: createRoundBudget(LIMITS, () => clock.ms) };
}

const page = (bytes: number) => ({ entries: makeEntries(1, 'laptop', bytes), deletions: [] });

describe('the budget of a round', () => {
  test('ends a turn after its time, and the round after its own', () => {
    const { clock, budget } = createBudget();
    const turn = budget.startTurn('a', TIMES);
    clock.ms = 99;
    expect(turn.isSpent()).toBe(false);
    clock.ms = 100;
    expect(turn.isSpent()).toBe(true);
    expect(budget.isSpent()).toBe(false);
    clock.ms = 1_000;
    expect(budget.isSpent()).toBe(true);
  });

  test('ends the turns of a peer whose pages have used up its bytes, and no other', () => {
    const { budget } = createBudget();
    for (let turns = 0; turns < 4; turns += 1) budget.startTurn('a', TIMES).spend(page(1_000_000), 0);
    expect(budget.isPeerSpent('a')).toBe(true);
    expect(budget.startTurn('a', TIMES).isSpent()).toBe(true);
    expect(budget.startTurn('b', TIMES).isSpent()).toBe(false);
  });

  test('ends the round when many peers have used up its bytes together', () => {
    const { budget } = createBudget();
    for (let peer = 0; peer < 10; peer += 1) budget.startTurn(`p${peer}`, TIMES).spend(page(1_000_000), 0);
    expect(budget.isSpent()).toBe(true);
  });

  test('counts deletions, and no entries that were known', () => {
    const { budget } = createBudget();
    const turn = budget.startTurn('a', TIMES);
    turn.spend({ entries: makeEntries(8, 'laptop', 1_000_000), deletions: [] }, 8);
    expect(turn.isSpent()).toBe(false);
    const deletions = Array.from({ length: 30_000 }, (_, n) => ({
      entry_id: `entry-${n}`,
      user_id: 'ada',
      device_id: 'laptop',
      deleted_at: 1,
    }));
    turn.spend({ entries: [], deletions }, 0);
    expect(turn.isSpent()).toBe(true);
  });
});
