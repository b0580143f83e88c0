import { expect, test } from '@jest/globals';
import { until } from '../../testing/wait.ts';
import { DeadlineQueue } from './deadline-queue.ts';

function createEntries(count: number, expired: number[]) {
  return Array.from({ length: count }, (_, index) => ({ expire: () => void expired.push(index) }));
}

test('entries expire in order, and removed ones do not', async () => {
  const expired: number[] = [];
  const queue = new DeadlineQueue(20, 10);
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
  const queue = new DeadlineQueue(60_000, 2);
  const entries = createEntries(5, expired);
  for (const entry of entries) queue.add(entry);
  expect(expired).toEqual([0, 1, 2]);
  for (const entry of entries) queue.remove(entry);
});
