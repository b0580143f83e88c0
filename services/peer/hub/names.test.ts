import { describe, expect, test } from '@jest/globals';
import { createTestLog } from '../../../testing/peer.ts';
import { createNameWatch } from './names.ts';

interface Other {
  peerId: string;
  deviceId: string | undefined;
  lastSeenUnixSeconds: number;
}

function watch(others: Other[]) {
  const { log, lines } = createTestLog();
  return { check: createNameWatch({ deviceId: 'hub', peerId: 'own', known: () => others, log }), lines };
}

describe('another device with the device id of the hub', () => {
  test.each(['hub', 'hub-x86_64', 'hub_aarch64'])('is reported once: %s', (deviceId) => {
    const other = { peerId: 'other', deviceId, lastSeenUnixSeconds: 100 };
    const { check, lines } = watch([other]);
    check();
    expect(lines).toEqual([]);
    other.lastSeenUnixSeconds = 130;
    check();
    other.lastSeenUnixSeconds = 160;
    check();
    expect(lines).toEqual([expect.objectContaining({ peer: 'other', deviceId: 'hub' })]);
  });

  test('is not an earlier identity of the hub, which registers no more', () => {
    const { check, lines } = watch([{ peerId: 'earlier', deviceId: 'hub', lastSeenUnixSeconds: 100 }]);
    check();
    check();
    expect(lines).toEqual([]);
  });

  test('is not the hub itself, nor a device with another id or none', () => {
    const others = [
      { peerId: 'own', deviceId: 'hub', lastSeenUnixSeconds: 1 },
      { peerId: 'a', deviceId: 'hub2', lastSeenUnixSeconds: 1 },
      { peerId: 'b', deviceId: undefined, lastSeenUnixSeconds: 1 },
    ];
    const { check, lines } = watch(others);
    check();
    for (const other of others) other.lastSeenUnixSeconds += 30;
    check();
    expect(lines).toEqual([]);
  });
});
