import { expect, test } from '@jest/globals';
import { createManualClock } from '../../testing/manual-clock.ts';
import { Deadlines } from './deadlines.ts';

test('each item has its own deadline, unless it is removed before', () => {
  const clock = createManualClock();
  const deadlines = new Deadlines(1_000, clock);
  const passed: string[] = [];
  const item = (name: string) => ({ onDeadline: () => passed.push(name) });
  const [first, second, third] = [item('first'), item('second'), item('third')];
  deadlines.add(first);
  clock.advance(400);
  deadlines.add(second);
  deadlines.add(third);
  deadlines.remove(third);
  clock.advance(599);
  expect(passed).toEqual([]);
  clock.advance(1);
  expect(passed).toEqual(['first']);
  clock.advance(400);
  expect(passed).toEqual(['first', 'second']);
  // An item that is added again gets the whole time, and one that adds another does not disturb the rest.
  deadlines.add({ onDeadline: () => deadlines.add(third) });
  deadlines.add(first);
  clock.advance(1_000);
  expect(passed).toEqual(['first', 'second', 'first']);
  clock.advance(1_000);
  expect(passed).toEqual(['first', 'second', 'first', 'third']);
});
