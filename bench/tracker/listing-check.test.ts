// The check of listings accepts what the tracker may answer and notices what it must not.
import { expect, test } from '@jest/globals';
import { Heartbeats, ListingCheck } from './listing-check.ts';
import { makeDevices, type RrDevice } from './rr-devices.ts';

const devices = makeDevices(3, 3);
const [first, second, third] = devices as [RrDevice, RrDevice, RrDevice];

interface Listed {
  readonly device: RrDevice;
  readonly unixMs: number;
  readonly changes?: Readonly<Record<string, unknown>>;
}

function listing(...listed: Listed[]): Buffer {
  const peers = listed.map(({ device: { peerId, addrs, meta }, unixMs, changes = {} }) => {
    const lastSeen = {
      last_seen: new Date(unixMs).toISOString(),
      last_seen_unix: Math.floor(unixMs / 1_000),
    };
    return Object.assign({ peer_id: peerId, addrs, meta }, lastSeen, changes);
  });
  return Buffer.from(JSON.stringify({ peers }));
}

const all = [
  { device: third, unixMs: 3_000 },
  { device: second, unixMs: 2_000 },
  { device: first, unixMs: 1_000 },
] as const;
const [newest, middle, oldest] = all;

test('a listing of all devices, the newest first, is right', () => {
  const check = new ListingCheck(devices, new Heartbeats());
  expect(check.check(listing(...all)).reflects).toBe(0);
  expect(check.probable.bytes).toEqual(listing(...all));
});

test.each([
  ['a missing device', [newest, middle], '2 devices instead of 3'],
  ['a device twice', [newest, middle, middle], 'twice'],
  ['an older device before a newer one', [newest, oldest, middle], 'newest'],
  ['another address', [newest, middle, { ...oldest, changes: { addrs: [] } }], 'wrong or an unknown'],
  [
    'other meta',
    [newest, middle, { ...oldest, changes: { meta: { ...first.meta, version: '2' } } }],
    'wrong',
  ],
  ['two times that differ', [newest, middle, { ...oldest, changes: { last_seen_unix: 2 } }], 'two times'],
])('a listing with %s is wrong', (_, listed, message) => {
  const check = new ListingCheck(devices, new Heartbeats());
  expect(() => check.check(listing(...listed))).toThrow(message);
});

test('a listing reflects the registrations up to the first one that it does not contain', () => {
  const heartbeats = new Heartbeats();
  const check = new ListingCheck(devices, heartbeats);
  check.check(listing(...all));
  const sent = devices.map(({ peerId }) => heartbeats.send(peerId));
  const at = (number: number): number => (heartbeats.sent[number - 1]?.unixMs ?? 0) + number;
  const [one, , three] = sent as [number, number, number];
  const withFirst = { device: first, unixMs: at(one) };
  const withThird = { device: third, unixMs: at(three) };
  expect(check.check(listing(withFirst, newest, middle)).reflects).toBe(1);
  // The second one is missing.
  expect(check.check(listing(withThird, withFirst, middle)).reflects).toBe(1);
  expect(check.check(listing(withThird, { device: second, unixMs: at(2) }, withFirst)).reflects).toBe(3);
});

test('registrations count as acknowledged when all before them are', () => {
  const heartbeats = new Heartbeats();
  const [one = 0, two = 0, three = 0] = devices.map(({ peerId }) => heartbeats.send(peerId));
  heartbeats.acknowledge(two);
  expect(heartbeats.acknowledged).toBe(0);
  heartbeats.acknowledge(one);
  expect(heartbeats.acknowledged).toBe(2);
  heartbeats.acknowledge(three);
  expect(heartbeats.acknowledged).toBe(3);
});
