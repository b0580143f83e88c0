import { describe, expect, test } from '@jest/globals';
import { checkProvenance as check, createOwners, type PushedItem } from './provenance.ts';
import type { Member } from './membership.ts';

const OTHER_DEVICE = { ok: false, reason: 'an item belongs to another device' };
const OTHER_USER = { ok: false, reason: 'an item belongs to another user' };

function checkProvenance(items: readonly PushedItem[], pusher: Member) {
  const owners = createOwners();
  for (const item of items) owners.add(item);
  return check(owners, pusher);
}

describe('the check of a push', () => {
  test.each([
    ['laptop', 'laptop'],
    ['laptop', 'laptop-x86_64'],
    ['laptop', 'laptop-aarch64'],
    ['laptop', 'laptop-arm64'],
    ['laptop', 'laptop_x86_64'],
    ['laptop', 'laptop_aarch64'],
    ['laptop', 'laptop_arm64'],
    ['laptop-x86_64', 'laptop'],
    ['laptop-aarch64', 'laptop_arm64'],
  ])('accepts from %s an item of %s', (registered, pushed) => {
    const pusher = { userId: 'ada', deviceId: registered };
    expect(checkProvenance([{ user_id: 'ada', device_id: pushed }], pusher)).toEqual({ ok: true });
  });

  test.each([
    ['laptop', 'desktop'],
    ['laptop', 'Laptop'],
    ['laptop', 'laptop-x86_64-2'],
    ['laptop', 'laptop.x86_64'],
    ['laptop', 'laptop-riscv64'],
    ['laptop', ''],
    ['laptop', 'x86_64'],
  ])('refuses from %s an item of %s', (registered, pushed) => {
    const pusher = { userId: 'ada', deviceId: registered };
    expect(checkProvenance([{ user_id: 'ada', device_id: pushed }], pusher)).toEqual(OTHER_DEVICE);
  });

  test('refuses all items if one of them belongs to another device or user', () => {
    const pusher = { userId: 'ada', deviceId: 'laptop' };
    const own = { user_id: 'ada', device_id: 'laptop' };
    expect(checkProvenance([own, own], pusher)).toEqual({ ok: true });
    expect(checkProvenance([], pusher)).toEqual({ ok: true });
    expect(checkProvenance([own, { ...own, device_id: 'desktop' }], pusher)).toEqual(OTHER_DEVICE);
    expect(checkProvenance([own, { ...own, user_id: 'bob' }], pusher)).toEqual(OTHER_USER);
    expect(checkProvenance([own, own, own, { user_id: 'bob' }], pusher)).toEqual(OTHER_USER);
    expect(checkProvenance([{ device_id: 'desktop' }, own], pusher)).toEqual(OTHER_DEVICE);
  });

  test('ignores ids that are not texts, because such an item is not stored', () => {
    const items = [{}, { user_id: 1, device_id: null }];
    expect(checkProvenance(items, { userId: 'ada', deviceId: 'laptop' })).toEqual({ ok: true });
  });

  test.each([undefined, '', '-x86_64'])('refuses a pusher whose registered device id is %p', (deviceId) => {
    const items = [{ user_id: 'ada', device_id: deviceId ?? '' }];
    expect(checkProvenance(items, { userId: 'ada', deviceId })).toEqual({
      ok: false,
      reason: 'the device is not registered with a device id',
    });
  });
});
