import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { createTestLog, makeDirectory, makeEntries } from '../../../testing/peer.ts';
import { createPeerBook } from '../discovery/peer-book.ts';
import { openDatabase } from '../history/database.ts';
import { createStore } from '../history/store.ts';
import type { PullEvent } from '../sync/pull-outcomes.ts';
import type { PushEvent } from '../sync/push-outcomes.ts';
import { createActivity } from './activity.ts';
import { createHeardDevices } from './devices.ts';

afterEach(cleanUp);

const PUSH: PushEvent = {
  outcome: 'stored',
  peer: 'peer-of-laptop',
  userId: 'ada',
  deviceId: 'laptop',
  entries: 1,
  deletions: 0,
  inserted: 1,
  invalid: 0,
  bytes: 1,
  durationMs: 1,
};
const PULL: PullEvent = {
  outcome: 'served',
  peer: 'peer-of-laptop',
  entries: 0,
  deletions: 0,
  bytes: 1,
  durationMs: 1,
  isBeyondStored: false,
};

function start() {
  const database = openDatabase(join(makeDirectory(), 'history.db'));
  onCleanup(() => (database.sqlite.isOpen ? database.close() : undefined));
  const store = createStore(database);
  const peerBook = createPeerBook(database);
  const { log } = createTestLog();
  const clock = { now: 1_700_000_500 };
  const devices = createHeardDevices({ database, log, nowUnixSeconds: () => clock.now });
  const lags: number[] = [];
  const metrics = { push: () => {}, pull: () => {}, lag: (seconds: number) => void lags.push(seconds) };
  const activity = createActivity({ metrics, devices, peerBook, deviceId: 'hub', log });
  peerBook.remember([
    {
      peerId: 'peer-of-laptop',
      addresses: [],
      userId: 'ada',
      deviceId: 'laptop',
      hostname: undefined,
      lastSeenUnixSeconds: clock.now,
    },
  ]);
  return { activity, devices, lags, store, clock, database };
}

describe('a device is heard of', () => {
  test('when its push is stored, with the age of its newest entry', () => {
    const { activity, devices, lags, store } = start();
    store.insert([...makeEntries(10, 'laptop'), ...makeEntries(100, 'desktop')]);
    activity.onPush(PUSH);
    expect(devices.silentSeconds()).toEqual([0]);
    expect(lags).toEqual([491]);
    // A push of what is known already says nothing about the age.
    activity.onPush({ ...PUSH, inserted: 0 });
    expect(lags).toEqual([491]);
  });

  test('when it pulls, by its registration', () => {
    const { activity, devices, lags } = start();
    activity.onPull(PULL);
    expect(devices.silentSeconds()).toEqual([0]);
    expect(lags).toEqual([]);
  });

  test('when the hub pulls from it', () => {
    const { activity, devices, lags, store, clock } = start();
    store.insert(makeEntries(1, 'laptop'));
    // The clock of the device is ahead.
    clock.now = 1_600_000_000;
    activity.onHeard('peer-of-laptop', true);
    expect(devices.silentSeconds()).toEqual([0]);
    expect(lags).toEqual([0]);
  });

  test.each([
    ['a push that is refused', ({ onPush }) => onPush({ ...PUSH, outcome: 'foreign_items' })],
    ['a push of several devices', ({ onPush }) => onPush({ ...PUSH, deviceId: undefined })],
    ['a push of the device id of the hub', ({ onPush }) => onPush({ ...PUSH, deviceId: 'hub-x86_64' })],
    ['a pull that is refused', ({ onPull }) => onPull({ ...PULL, outcome: 'refused' })],
    ['a pull of an unknown peer', ({ onPull }) => onPull({ ...PULL, peer: 'unknown' })],
  ] as ReadonlyArray<[string, (activity: ReturnType<typeof createActivity>) => void]>)(
    'not by %s',
    (_, act) => {
      const { activity, devices } = start();
      act(activity);
      expect(devices.silentSeconds()).toEqual([]);
    },
  );

  test('and a database that cannot be read ends nothing', () => {
    const { activity, database } = start();
    database.close();
    expect(() => activity.onPull(PULL)).not.toThrow();
    expect(() => activity.onPush(PUSH)).not.toThrow();
  });
});
