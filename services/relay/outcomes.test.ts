import { expect, test } from '@jest/globals';
import { variables } from './config.ts';
import {
  CIRCUIT_REFUSALS,
  CONNECTION_REFUSALS,
  type Outcome,
  outcomeDoc,
  RESERVATION_REFUSALS,
} from './outcomes.ts';

test('the setting of each refusal is a variable, which the documentation names', () => {
  const refusals: Outcome[] = [RESERVATION_REFUSALS, CIRCUIT_REFUSALS, CONNECTION_REFUSALS].flatMap((list) =>
    Object.values(list),
  );
  const settings = refusals.flatMap(({ setting }) => (setting === undefined ? [] : [setting]));
  expect(settings.length).toBeGreaterThan(10);
  expect(settings.filter((setting) => !(setting in variables))).toEqual([]);
  expect(outcomeDoc(RESERVATION_REFUSALS.reservations)).toMatch(/ Raise `RELAY_MAX_RESERVATIONS`\.$/);
  expect(outcomeDoc(RESERVATION_REFUSALS.no_address)).toMatch(/ Set `RELAY_ANNOUNCE`\.$/);
});
