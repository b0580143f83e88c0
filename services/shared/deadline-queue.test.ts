import { expect, test } from '@jest/globals';
import { createManualClock } from '../../testing/manual-clock.ts';
import { until } from '../../testing/wait.ts';
import { DeadlineQueue } from './deadline-queue.ts';

function createEntries(count: number, expired: number[]) {
  return Array.from({ length: count }, (_, index) => ({ expire: () => void expired.push(index) }));
}

test('entries expire in order, and removed ones do not', async () => {
  const expired: number[] = [];
  const queue = new DeadlineQueue(20);
  const entries = createEntries(4, expired);
  for (const entry of entries) queue.add(entry);
  if (entries[1] !== undefined) queue.remove(entries[1]);
  await until(() => expired.length === 3, 'the others have expired');
  expect(expired).toEqual([0, 2, 3]);
  const [again] = entries;
  if (again !== undefined) queue.add(again);
  await until(() => expired.length === 4, 'the queue goes on');
});

test('above the maximum the oldest one expires at once', () => {
  const expired: number[] = [];
  const queue = new DeadlineQueue(60_000, { maxSize: 2 });
  const entries = createEntries(5, expired);
  for (const entry of entries) queue.add(entry);
  expect(expired).toEqual([0, 1, 2]);
  for (const entry of entries) queue.remove(entry);
});

test('each item has its own deadline, unless it is removed before', () => {
  const clock = createManualClock();
  const deadlines = new DeadlineQueue(1_000, { clock });
  const passed: string[] = [];
  const item = (name: string) => ({ expire: () => passed.push(name) });
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
  deadlines.add({ expire: () => deadlines.add(third) });
  deadlines.add(first);
  clock.advance(1_000);
  expect(passed).toEqual(['first', 'second', 'first']);
  clock.advance(1_000);
  expect(passed).toEqual(['first', 'second', 'first', 'third']);
});
