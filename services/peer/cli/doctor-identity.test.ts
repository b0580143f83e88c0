import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { hostname } from 'node:os';
import { cleanUp } from '../../../testing/cleanup.ts';
import { createTestHome, type TestHome } from '../../../testing/cli.ts';
import { startTestTracker, type TestTracker } from '../../../testing/test-tracker.ts';
import { readPeerConfig, type PeerConfig } from '../config/config.ts';
import { checkIdentityUse } from './doctor-identity.ts';
import type { Finding } from './finding.ts';

let device: TestHome;
let tracker: TestTracker;
let peerId: string;
let config: PeerConfig;

beforeEach(async () => {
  device = createTestHome();
  tracker = await startTestTracker();
  const { stdout } = await device.run([
    'init',
    '--trackers',
    tracker.url,
    '--user-id',
    'ada',
    '--device-id',
    'laptop',
  ]);
  peerId = /12D3KooW\w+/.exec(stdout)?.[0] ?? '';
  config = readPeerConfig({ environment: { HOME: device.home, USER: 'ada' } });
});

afterEach(cleanUp);

const register = (deviceId: string): void =>
  tracker.put(peerId, [], { user_id: 'ada', device_id: deviceId, hostname: hostname() });

/** Runs the check; `during` happens during its pause. */
async function check(during: () => void = () => {}): Promise<{ waits: number; findings: Finding[] }> {
  let waits = 0;
  const findings = await checkIdentityUse(config, {
    signal: new AbortController().signal,
    onWait: () => (waits += 1),
    sleep: async () => {
      // What a later look finds; the records are dated by the clock of the tracker.
      tracker.clockSkewSeconds += 31;
      during();
    },
  });
  return { waits, findings };
}

describe('doctor', () => {
  test('looks once when the identity is not listed, or by this device', async () => {
    expect(await check()).toEqual({ waits: 0, findings: [] });
    register(config.deviceId);
    expect(await check()).toEqual({ waits: 0, findings: [] });
  });

  test('looks again when it is listed with another device', async () => {
    register('desktop');
    expect(await check(() => register(config.deviceId))).toEqual({ waits: 1, findings: [] });
  });

  test('reports that the identity is used twice', async () => {
    register('desktop');
    const now = Date.now;
    try {
      const { waits, findings } = await check(() => {
        Date.now = () => now() + 31_000;
        register('desktop');
      });
      expect(waits).toBe(1);
      expect(findings).toMatchObject([
        {
          subject: 'identity',
          state: 'failed',
          detail: expect.stringContaining('This identity is used twice'),
        },
      ]);
    } finally {
      Date.now = now;
    }
  });
});
