import { writeFileSync } from 'node:fs';
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp } from '../../../../testing/cleanup.ts';
import { createTestHome } from '../../../../testing/cli.ts';
import { testSwarmKey } from '../../../../testing/peer.ts';
import { startPushTarget } from '../../../../testing/push-target.ts';
import { startTestTracker } from '../../../../testing/test-tracker.ts';
import { formatSwarmKey } from '../../../private-network/key.ts';

afterEach(cleanUp);

test('a peer that is named with its address gets no push when a tracker lists it for another user', async () => {
  const device = createTestHome();
  const tracker = await startTestTracker();
  const peer = await startPushTarget();
  await device.run(['init', '--trackers', tracker.url, '--user-id', 'ada', '--device-id', 'laptop']);
  writeFileSync(device.inConfig('swarm.key'), formatSwarmKey(testSwarmKey));
  await device.run(['record', '--cmd', 'make test']);
  const sync = async () => device.run(['sync', '--push', '--peers', String(peer.addresses[0])]);
  tracker.put(peer.peerId, peer.addresses, { user_id: 'bob', device_id: 'hub' });
  expect((await sync()).stderr).toContain('registered for another user');
  expect(peer.pushes).toEqual([]);
  tracker.put(peer.peerId, peer.addresses, { user_id: 'ada', device_id: 'hub' });
  expect((await sync()).code).toBe(0);
  expect(peer.pushes).toHaveLength(1);
});
