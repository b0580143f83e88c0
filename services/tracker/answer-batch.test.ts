import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { createAnswerBatch } from './answer-batch.ts';

test('items of one turn are sent together and in order, and those that are added meanwhile in the next turn', async () => {
  const sent: number[] = [];
  const batch = createAnswerBatch((item: number) => {
    sent.push(item);
    if (item === 1) batch.add(3);
  });
  batch.add(1);
  batch.add(2);
  expect(sent).toEqual([]);
  await turn();
  expect(sent).toEqual([1, 2]);
  await turn();
  expect(sent).toEqual([1, 2, 3]);
});
