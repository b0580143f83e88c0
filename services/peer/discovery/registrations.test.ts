import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../../testing/cleanup.ts';
import {
  CIRCUIT,
  createTestRegistrations,
  ensure,
  META,
  OWN_PEER_ID,
  registered,
} from '../../../testing/registration.ts';
import { startTestTracker } from '../../../testing/test-tracker.ts';

afterEach(cleanUp);

describe('the registration of a sync', () => {
  const ofSync = { yields: true };

  test('is not made while only a part of the list is known, which may lack the record of a process that serves', async () => {
    const tracker = await startTestTracker();
    tracker.put(OWN_PEER_ID, [CIRCUIT], META);
    const { registrations } = createTestRegistrations([tracker], ofSync);
    const part = { peers: [], skipped: 0, incomplete: 'it has more than 256 pages' };
    expect(await registrations.ensure(new Map([[tracker.url, part]]))).toEqual([]);
    expect(tracker.records.get(OWN_PEER_ID)?.addrs).toEqual([CIRCUIT]);
  });

  test('is made before the round continues, and removed at the stop', async () => {
    const tracker = await startTestTracker();
    const { registrations, stop } = createTestRegistrations([tracker], ofSync);
    expect(await ensure(registrations, tracker)).toEqual([]);
    expect(tracker.records.get(OWN_PEER_ID)).toMatchObject({ addrs: [], meta: META });
    await stop();
    expect(tracker.records.has(OWN_PEER_ID)).toBe(false);
  });

  test('is made only with the trackers that do not list the device', async () => {
    const [one, two] = [await startTestTracker(), await startTestTracker()];
    one.put(OWN_PEER_ID, [CIRCUIT], META);
    const { registrations, stop } = createTestRegistrations([one, two], ofSync);
    const lists = new Map([
      [one.url, await one.client.list('ada')],
      [two.url, await two.client.list('ada')],
    ]);
    expect(await registrations.ensure(lists)).toEqual([]);
    await stop();
    expect(registered(one)).toEqual([]);
    expect(one.records.get(OWN_PEER_ID)?.addrs).toEqual([CIRCUIT]);
    expect(registered(two)).toEqual(['register', 'unregister']);
  });

  test('does not replace that of a process that serves, and is removed, when the tracker lists only a hub otherwise', async () => {
    const [serving, idle] = [await startTestTracker(), await startTestTracker()];
    for (const tracker of [serving, idle]) tracker.hub = 'hub';
    serving.put(OWN_PEER_ID, [CIRCUIT], META);
    const { registrations, pauseAfter, stop } = createTestRegistrations([serving, idle], ofSync);
    await ensure(registrations, idle);
    registrations.start();
    await pauseAfter(2);
    await stop();
    expect(registered(serving)).toEqual([]);
    expect(serving.records.get(OWN_PEER_ID)?.addrs).toEqual([CIRCUIT]);
    expect(registered(idle).at(-1)).toBe('unregister');
  });

  test('is renewed during a long round', async () => {
    const tracker = await startTestTracker();
    const { registrations, pauseAfter } = createTestRegistrations([tracker], ofSync);
    await ensure(registrations, tracker);
    for (let pause = 1; pause <= 3; pause += 1) (await pauseAfter(pause)).end();
    await pauseAfter(4);
    expect(registered(tracker)).toEqual(['register', 'register', 'register', 'register']);
  });

  test('does not replace that of another process that registered meanwhile, until that one is gone', async () => {
    const tracker = await startTestTracker();
    const { registrations, pauseAfter, state, stop } = createTestRegistrations([tracker], ofSync);
    await ensure(registrations, tracker);
    tracker.put(OWN_PEER_ID, [CIRCUIT], META);
    (await pauseAfter(1)).end();
    (await pauseAfter(2)).end();
    await pauseAfter(3);
    expect(tracker.records.get(OWN_PEER_ID)?.addrs).toEqual([CIRCUIT]);
    tracker.records.delete(OWN_PEER_ID);
    (await pauseAfter(3)).end();
    await pauseAfter(4);
    expect(tracker.records.get(OWN_PEER_ID)?.addrs).toEqual([]);
    state.ms += 1;
    tracker.put(OWN_PEER_ID, [CIRCUIT], META);
    await stop();
    expect(tracker.records.get(OWN_PEER_ID)?.addrs).toEqual([CIRCUIT]);
  });

  test('is made again by the next round when it is no longer listed', async () => {
    const tracker = await startTestTracker();
    const { registrations, pauseAfter } = createTestRegistrations([tracker], ofSync);
    await ensure(registrations, tracker);
    await pauseAfter(1);
    await ensure(registrations, tracker);
    expect(registered(tracker)).toEqual(['register']);
    tracker.records.clear();
    await ensure(registrations, tracker);
    expect(tracker.records.has(OWN_PEER_ID)).toBe(true);
  });

  test.each([403, 429])(
    'that is refused with %i is reported in each round, and the round continues',
    async (status) => {
      const tracker = await startTestTracker();
      tracker.status = status;
      const { registrations, pauseAfter, stop } = createTestRegistrations([tracker], ofSync);
      const expected = [
        expect.stringContaining(`This device is not registered: The tracker ${tracker.url} refused`),
      ];
      expect(await ensure(registrations, tracker)).toEqual(expected);
      await pauseAfter(1);
      expect(await ensure(registrations, tracker)).toEqual(expected);
      await stop();
      expect(tracker.requests).not.toContain('unregister');
    },
  );
});

describe('the registration of a hub', () => {
  test('is not made without an address, and at once when it has one', async () => {
    const tracker = await startTestTracker();
    const { registrations, change, pauseAfter, lines } = createTestRegistrations([tracker], {
      requiresAddress: true,
    });
    expect(await ensure(registrations, tracker)).toEqual([
      'This device is not registered: It has no address to register: no relay has granted a reservation yet.',
    ]);
    expect(tracker.records.size).toBe(0);
    await pauseAfter(1);
    change(CIRCUIT);
    await pauseAfter(2);
    expect(tracker.records.get(OWN_PEER_ID)?.addrs).toEqual([CIRCUIT]);
    // Without its reservation it is not registered again, so that it expires.
    change();
    await pauseAfter(3);
    expect(registered(tracker)).toEqual([`register ${CIRCUIT}`]);
    expect(lines.map(({ message }) => message)).toEqual([
      'not registered without an address',
      'registered',
      'not registered without an address',
    ]);
  });

  test('is removed at the stop, also when it has lost its addresses', async () => {
    const tracker = await startTestTracker();
    const { registrations, change, pauseAfter, stop } = createTestRegistrations([tracker], {
      requiresAddress: true,
    });
    change(CIRCUIT);
    registrations.start();
    await pauseAfter(1);
    change();
    await pauseAfter(2);
    await stop();
    expect(tracker.records.size).toBe(0);
  });
});
