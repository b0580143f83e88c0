import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { createTestLog, makeDirectory } from '../../../testing/peer.ts';
import { type Database, openDatabase } from '../history/database.ts';
import { createIdentityWatch, type IdentityWatch, type OwnIdentity } from './identity-watch.ts';
import type { KnownPeer } from './peer-book.ts';

const OWN: OwnIdentity = { peerId: 'me', deviceId: 'laptop', hostname: 'laptop.lan' };

let database: Database;
let clock: { seconds: number };
let lines: Array<{ message: string }>;
let watch: IdentityWatch;

function start(own: OwnIdentity = OWN): IdentityWatch {
  const testLog = createTestLog();
  lines = testLog.lines;
  return createIdentityWatch({ own, database, log: testLog.log, nowUnixSeconds: () => clock.seconds });
}

beforeEach(() => {
  database = openDatabase(join(makeDirectory(), 'history.db'));
  onCleanup(() => database.close());
  clock = { seconds: 1_700_000_000 };
  watch = start();
});

afterEach(cleanUp);

/** The record that a tracker lists. By default the device has just registered it. */
function see(
  deviceId: string | undefined,
  hostname: string | undefined,
  registered = clock.seconds,
): boolean {
  const record: KnownPeer = {
    peerId: 'me',
    addresses: [],
    userId: 'ada',
    deviceId,
    hostname,
    lastSeenUnixSeconds: registered,
  };
  return watch.observe(record);
}

const wait = (seconds: number): void => void (clock.seconds += seconds);

describe('an identity is used twice', () => {
  test('when it is listed with another device id, and again 30 seconds later', () => {
    expect(see('desktop', 'desktop.lan')).toBe(true);
    wait(29);
    see('desktop', 'desktop.lan');
    expect(watch.problem()).toBeUndefined();
    wait(1);
    see('desktop', 'desktop.lan');
    expect(watch.problem()).toMatchObject({ isCertain: true });
    expect(watch.problem()?.text).toMatch(/^This identity is used twice: .* me .*"desktop" .*"laptop"/);
    wait(30);
    see('desktop', 'desktop.lan');
    expect(lines.map(({ message }) => message)).toEqual(['this identity is used twice']);
  });

  test('perhaps, when the same registration is still listed after 30 seconds', () => {
    const registered = clock.seconds;
    see('old-name', 'laptop.lan', registered);
    wait(45);
    see('old-name', 'laptop.lan', registered);
    expect(watch.problem()).toMatchObject({
      isCertain: false,
      text: expect.stringContaining('unless this device was renamed'),
    });
  });

  test('when two processes see it, one after the other', () => {
    see('desktop', 'desktop.lan');
    wait(31);
    watch = start();
    see('desktop', 'desktop.lan');
    expect(watch.problem()).toMatchObject({ isCertain: true });
  });

  test('when two hosts with one device id take turns', () => {
    see('laptop', 'copy.lan');
    wait(1);
    watch.registered();
    wait(30);
    see('laptop', 'copy.lan');
    expect(watch.problem()).toMatchObject({ isCertain: true });
  });

  test('when two hosts take turns and this process only reads', () => {
    for (const host of ['copy.lan', 'laptop.lan', 'copy.lan']) {
      see('laptop', host);
      wait(30);
      watch = start();
    }
    expect(watch.problem()).toMatchObject({ isCertain: true });
  });
});

describe('an identity is not used twice', () => {
  test.each([
    ['by a process of this device', 'laptop', 'laptop.lan'],
    ['by rr, which appends the architecture', 'laptop-x86_64', 'laptop.lan'],
    ['in another network, which changes the domain', 'laptop', 'LAPTOP.local'],
    ['by a program that registers no names', undefined, undefined],
  ])('%s', (_, deviceId, hostname) => {
    for (let times = 0; times < 4; times += 1) {
      expect(see(deviceId, hostname)).toBe(false);
      watch.registered();
      wait(30);
    }
    expect(watch.problem()).toBeUndefined();
  });

  test('when the host was renamed while a process with the old name registers', () => {
    for (let times = 0; times < 4; times += 1) {
      see('laptop', 'old-name.lan');
      wait(30);
    }
    expect(watch.problem()).toBeUndefined();
  });

  test('when it was listed with another device id once, or ten minutes ago', () => {
    see('desktop', 'desktop.lan');
    wait(60);
    see('laptop', 'laptop.lan');
    expect(watch.problem()).toBeUndefined();
    wait(600);
    see('desktop', 'desktop.lan');
    expect(watch.problem()).toBeUndefined();
  });

  test('when this device has a new identity since', () => {
    see('desktop', 'desktop.lan');
    wait(31);
    see('desktop', 'desktop.lan');
    expect(watch.problem()).toBeDefined();
    watch = start({ ...OWN, peerId: 'new' });
    expect(watch.problem()).toBeUndefined();
  });
});

test('a device whose records are its own writes nothing, and one that cannot write still detects', () => {
  see('laptop', 'laptop.lan');
  const count = () =>
    database.sqlite.prepare('SELECT count(*) AS n FROM rustory_p2p_identity_sightings').get()?.['n'];
  expect(count()).toBe(0);
  database.sqlite.exec('PRAGMA query_only = ON');
  see('desktop', 'desktop.lan');
  wait(30);
  see('desktop', 'desktop.lan');
  expect(watch.problem()).toBeDefined();
});

test('a tracker cannot fill the database with names', () => {
  for (let name = 0; name < 100; name += 1) see(`device-${name}`, 'host');
  expect(
    database.sqlite.prepare('SELECT count(*) AS n FROM rustory_p2p_identity_sightings').get()?.['n'],
  ).toBeLessThanOrEqual(16);
});
