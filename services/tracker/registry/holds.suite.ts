// Tests of holds. The test file of every registry runs this suite.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { until } from '../../../testing/wait.ts';
import { device } from '../../../testing/tracker-registrations.ts';
import { MAX_HOLDS_PER_USER } from './holds.ts';
import { type Replicas, type SuiteOptions } from './registry.suite.ts';

const HELD = { ok: false, reason: 'held' };
const FOREIGN = { ok: false, reason: 'foreign' };
const OK = { ok: true };

const HOUR = 3_600;
const DAY = 24 * HOUR;

export interface AgingReplicas extends Replicas {
  /** Lets time pass for everything that is stored. */
  pass(seconds: number): Promise<void>;
}

export function suiteOfHolds(name: string, open: (options: SuiteOptions) => Promise<AgingReplicas>): void {
  describe(`${name}, a peer id of a user whose device is away`, () => {
    let subject: AgingReplicas;
    beforeEach(async () => {
      subject = await open({ ttlSeconds: 60, maxPeers: 5_000 });
    });
    afterEach(() => subject.close());

    /** Registers a device of bob at each of these times, with a token of bob; then it is away. */
    async function registerAt(...seconds: number[]): Promise<void> {
      let atSeconds = 0;
      for (const next of seconds) {
        if (next > atSeconds) await subject.pass(next - atSeconds);
        atSeconds = next;
        expect(await subject.registry.register(device('p1', 'bob'), 'bob')).toEqual(OK);
      }
    }

    const registerAsAlice = () => subject.replica.register(device('p1', 'alice'), 'alice');

    test.each([
      [10, 60],
      [10, 7 * DAY],
      [10, 30 * DAY - 60],
      [2, 60],
      [2, 30 * DAY - 60],
    ])('is kept after a day with %i registrations, for %i s', async (times, awaySeconds) => {
      await registerAt(...Array.from({ length: times }, (_, index) => (index * DAY) / (times - 1)));
      await subject.pass(awaySeconds);
      expect(await registerAsAlice()).toEqual(HELD);
      expect((await subject.registry.list({})).peers).toEqual([]);
      expect(await subject.replica.unregister('p1', 'alice')).toBe(false);
      expect(await registerAsAlice()).toEqual(HELD);
      expect(await subject.registry.register(device('p1', 'bob'), 'bob')).toEqual(OK);
    });

    test('is free after 31 days', async () => {
      await registerAt(0, DAY);
      await subject.pass(31 * DAY);
      expect(await registerAsAlice()).toEqual(OK);
      expect(await subject.registry.register(device('p1', 'bob'), 'bob')).toEqual(FOREIGN);
    });

    test('is free before a day of registrations', async () => {
      await registerAt(0, DAY - 60);
      await subject.pass(60);
      expect(await registerAsAlice()).toEqual(OK);
      await subject.pass(DAY);
      expect(await registerAsAlice()).toEqual(OK);
      await subject.pass(60);
      expect(await subject.registry.register(device('p1', 'bob'), 'bob')).toEqual(HELD);
    });

    test.each([
      ['unregistered with a token of its user', () => subject.registry.unregister('p1', 'bob')],
      ['unregistered with a token of no user', () => subject.registry.unregister('p1')],
      ['registered with a token of no user', () => subject.registry.register(device('p1', 'carol'))],
    ])('is free after it is %s', async (_, free) => {
      await registerAt(0, DAY);
      await subject.pass(120);
      await free();
      await subject.replica.unregister('p1');
      await until(async () => (await registerAsAlice()).ok, 'another user registers it');
    });

    test('does not go to a user whose registrations were refused', async () => {
      for (let hour = 0; hour <= 25; hour += 1) {
        await subject.registry.register(device('p1', 'bob'));
        expect(await registerAsAlice()).toEqual(FOREIGN);
        await subject.pass(HOUR);
      }
      expect(await subject.registry.register(device('p1', 'bob'), 'bob')).toEqual(OK);
    });

    test('is kept although its user registers many new peer ids', async () => {
      await registerAt(0, DAY);
      for (let from = 0; from < MAX_HOLDS_PER_USER + 100; from += 100)
        await Promise.all(
          Array.from({ length: 100 }, async (_, n) =>
            subject.registry.register(device(`new${from + n}`, 'bob'), 'bob'),
          ),
        );
      await subject.pass(120);
      expect(await registerAsAlice()).toEqual(HELD);
    });

    test('is replaced by a new peer id of its user after a day, when the user has too many', async () => {
      for (let from = 0; from < MAX_HOLDS_PER_USER; from += 100)
        await Promise.all(
          Array.from({ length: 100 }, async (_, n) =>
            subject.registry.register(device(`p${from + n}`, 'bob'), 'bob'),
          ),
        );
      await subject.pass(DAY);
      for (let from = 0; from < MAX_HOLDS_PER_USER; from += 100)
        await Promise.all(
          Array.from({ length: 100 }, async (_, n) =>
            subject.registry.register(device(`p${from + n}`, 'bob'), 'bob'),
          ),
        );
      await subject.pass(DAY);
      await subject.registry.register(device('new', 'bob'), 'bob');
      await subject.pass(DAY);
      await subject.registry.register(device('new', 'bob'), 'bob');
      await subject.pass(120);
      expect(await subject.replica.register(device('new', 'alice'), 'alice')).toEqual(HELD);
      const freed = await Promise.all(
        Array.from({ length: MAX_HOLDS_PER_USER }, async (_, n) =>
          subject.replica.register(device(`p${n}`, 'alice'), 'alice'),
        ),
      );
      expect(freed.filter(({ ok }) => ok)).toHaveLength(1);
    });
  });
}
