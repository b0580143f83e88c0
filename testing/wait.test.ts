import { expect, test } from '@jest/globals';
import { until } from './wait.ts';

test('a wait ends as soon as the condition holds', async () => {
  let checks = 0;
  await until(() => (checks += 1) === 3, 'the third check');
  expect(checks).toBe(3);
});

test('a wait whose condition does not hold in time throws an error that names it', async () => {
  await expect(until(() => false, 'the relay is full', 20)).rejects.toThrow(
    'The condition did not hold within 20 ms: the relay is full.',
  );
});
