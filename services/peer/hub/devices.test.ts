import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { createTestLog, makeDirectory } from '../../../testing/peer.ts';
import { openDatabase } from '../history/database.ts';
import { createHeardDevices } from './devices.ts';

afterEach(cleanUp);

const DAY = 86_400;

function open(path: string, clock: { now: number }) {
  const database = openDatabase(path);
  onCleanup(() => database.close());
  const { log, lines } = createTestLog();
  return {
    database,
    lines,
    devices: createHeardDevices({ database, log, nowUnixSeconds: () => clock.now }),
  };
}

const sorted = (seconds: readonly number[]): number[] => seconds.toSorted((a, b) => a - b);

describe('the devices that the hub heard of', () => {
  test('are silent since then, also after a restart of the hub', () => {
    const path = join(makeDirectory(), 'history.db');
    const clock = { now: 1_000_000 };
    const { devices } = open(path, clock);
    devices.heard('laptop');
    clock.now += 500;
    devices.heard('desktop');
    clock.now += 10;
    expect(sorted(devices.silentSeconds())).toEqual([10, 510]);
    expect(sorted(open(path, clock).devices.silentSeconds())).toEqual([10, 510]);
  });

  test('are forgotten after 30 days, in the database too', () => {
    const path = join(makeDirectory(), 'history.db');
    const clock = { now: 1_000_000 };
    const { devices } = open(path, clock);
    devices.heard('laptop');
    clock.now += 30 * DAY + 1;
    expect(devices.silentSeconds()).toEqual([]);
    devices.heard('desktop');
    expect(open(path, clock).devices.silentSeconds()).toEqual([0]);
  });

  test('are written together when all come in the same second', () => {
    const path = join(makeDirectory(), 'history.db');
    const clock = { now: 1_000_000 };
    const { devices, database } = open(path, clock);
    const rows = (): unknown =>
      database.sqlite.prepare('SELECT count(*) AS rows FROM rustory_p2p_heard_devices').get()?.['rows'];
    for (let number = 0; number < 200; number += 1) devices.heard(`device-${number}`);
    expect(rows()).toBe(1);
    clock.now += 1;
    devices.heard('device-0');
    expect(rows()).toBe(200);
    expect(open(path, clock).devices.silentSeconds()).toHaveLength(200);
  });

  test('are not silent for a negative time after the clock was ahead', () => {
    const clock = { now: 1_000_000 };
    const { devices } = open(join(makeDirectory(), 'history.db'), clock);
    devices.heard('laptop');
    clock.now -= 5_000;
    expect(devices.silentSeconds()).toEqual([0]);
    devices.heard('laptop');
    clock.now += 70;
    expect(devices.silentSeconds()).toEqual([70]);
  });

  test('are at most 256, however many ids a device invents; the one that is silent for longest is forgotten', () => {
    const path = join(makeDirectory(), 'history.db');
    const clock = { now: 1_000_000 };
    const { devices, database } = open(path, clock);
    for (let number = 0; number < 300; number += 1) {
      clock.now += 1;
      devices.heard(`device-${number}`);
    }
    expect(sorted(devices.silentSeconds())).toEqual(Array.from({ length: 256 }, (_, index) => index));
    const row = database.sqlite.prepare('SELECT count(*) AS rows FROM rustory_p2p_heard_devices').get();
    expect(row?.['rows']).toBe(256);
  });

  test('delay nothing while another process writes, and are stored with the next device', () => {
    const path = join(makeDirectory(), 'history.db');
    const clock = { now: 1_000_000 };
    const { devices, lines } = open(path, clock);
    const other = openDatabase(path);
    onCleanup(() => other.close());
    other.sqlite.exec('BEGIN IMMEDIATE');
    devices.heard('laptop');
    // A write that had waited for the lock would have failed after 5 seconds.
    expect(lines).toEqual([]);
    other.sqlite.exec('ROLLBACK');
    clock.now += 1;
    devices.heard('desktop');
    expect(sorted(open(path, clock).devices.silentSeconds())).toEqual([0, 1]);
  });

  test('are known while the database cannot be written', () => {
    const clock = { now: 1_000_000 };
    const { devices, database } = open(join(makeDirectory(), 'history.db'), clock);
    database.sqlite.exec('PRAGMA query_only = ON');
    devices.heard('laptop');
    clock.now += 5;
    expect(devices.silentSeconds()).toEqual([5]);
  });
});
