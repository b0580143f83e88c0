// What `doctor`, `peers` and `sync-status` say about the hub of a user.
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createTestHome, type TestHome } from '../../../testing/cli.ts';
import { cleanUp } from '../../../testing/cleanup.ts';
import { testSwarmKey } from '../../../testing/peer.ts';
import { type PushTarget, startPushTarget } from '../../../testing/push-target.ts';
import { startTestTracker, type TestTracker } from '../../../testing/test-tracker.ts';
import { formatSwarmKey } from '../../private-network/key.ts';
import type { Finding } from './finding.ts';

let device: TestHome;
let tracker: TestTracker;
let hub: PushTarget;

beforeEach(async () => {
  device = createTestHome();
  tracker = await startTestTracker();
  hub = await startPushTarget();
  await device.run(['init', '--trackers', tracker.url, '--user-id', 'ada', '--device-id', 'laptop']);
  writeFileSync(device.inConfig('swarm.key'), formatSwarmKey(testSwarmKey));
});

afterEach(cleanUp);

function list(addresses: readonly string[] = hub.addresses): void {
  tracker.put(hub.peerId, addresses, { user_id: 'ada', device_id: 'hub', role: 'hub' });
}

async function hubFindings(): Promise<Finding[]> {
  const { stdout } = await device.run(['doctor', '--json']);
  const { findings } = JSON.parse(stdout) as { findings: Finding[] };
  return findings.filter(({ subject }) => subject === 'hub');
}

const textsOf = (findings: readonly Finding[]): string[] =>
  findings.map(({ state, detail }) => `${state}: ${detail}`);

test('without a hub doctor says what that means', async () => {
  expect(textsOf(await hubFindings())).toEqual([
    expect.stringMatching(/^ok: No hub is registered for user ada, so that devices sync only while/),
  ]);
});

test('doctor tells what the hub does not have, and that it has everything after sync --push', async () => {
  list();
  await device.run(['record', '--cmd', 'make test']);
  expect(textsOf(await hubFindings())).toEqual([
    expect.stringContaining(`ok: The hub "hub" ${hub.peerId} is registered and reached at /ip4/127.0.0.1`),
    'warning: This device has never been synced with the hub.',
    'warning: The hub does not have 1 entry of this device yet.',
  ]);
  const synced = await device.run(['sync', '--push']);
  expect(synced).toMatchObject({ code: 0, stdout: expect.stringContaining('pushed 1 entry to 1 device') });
  expect(hub.entries).toMatchObject([{ cmd: 'make test', device_id: 'laptop', user_id: 'ada' }]);
  expect(textsOf(await hubFindings())).toEqual([
    expect.stringContaining('is registered and reached'),
    expect.stringMatching(/^ok: This device was last synced with the hub \d+ s ago\.$/),
    'ok: The hub has everything that was made on this device.',
  ]);
});

test('doctor repeats why the hub refused the last push', async () => {
  list();
  hub.member = undefined;
  await device.run(['record', '--cmd', 'ls']);
  const { code, stdout, stderr } = await device.run(['sync', '--push']);
  expect(code).toBe(4);
  expect(stdout).toContain('push refused');
  expect(stderr).toContain('The peer refused the push.');
  expect(textsOf(await hubFindings())).toContainEqual(
    expect.stringMatching(
      /does not have 1 entry of this device yet\. The last push failed: The peer refused/,
    ),
  );
  expect((await device.run(['sync-status'])).stderr).toContain('The peer refused the push.');
});

test('doctor finds a hub that cannot be reached, one without an address, and one that is gone', async () => {
  list(['/ip4/127.0.0.1/tcp/9']);
  expect(textsOf(await hubFindings())[0]).toMatch(/^failed: .* cannot be reached: .*ECONNREFUSED/);
  list([]);
  expect(textsOf(await hubFindings())[0]).toMatch(/^failed: .* lists no address/);
  list();
  await device.run(['sync']);
  tracker.records.clear();
  expect(textsOf(await hubFindings())).toEqual([
    expect.stringMatching(
      new RegExp(`^warning: The hub ${hub.peerId} is not registered. It was listed \\d+ s ago.$`),
    ),
  ]);
});

test('doctor warns when allowed_peers does not contain the hub, and nothing is pushed to it', async () => {
  list();
  await device.run(['record', '--cmd', 'ls']);
  const environment = { RUSTORY_ALLOWED_PEERS: '12D3KooWRfdEznKxzJbPSkejpr8aRmRX6e8NGW1XWT5irbxBAzuV' };
  expect(await device.run(['sync', '--push'], environment)).toMatchObject({
    code: 0,
    stderr: expect.stringContaining('not in allowed_peers'),
  });
  expect(hub.pushes).toEqual([]);
  expect((await device.run(['doctor'], environment)).stdout).toMatch(/not in allowed_peers/);
});

test('peers and sync-status mark the hub, and say what a list with only the hub means', async () => {
  list();
  const only = await device.run(['peers']);
  expect(only.stdout).toContain('hub (hub), seen');
  expect(only.stderr).toMatch(/Only the hub is listed/);
  tracker.put('12D3KooWRfdEznKxzJbPSkejpr8aRmRX6e8NGW1XWT5irbxBAzuV', [], {
    user_id: 'ada',
    device_id: 'desk',
  });
  const both = await device.run(['peers', '--json']);
  expect(both.stderr).not.toContain('Only the hub');
  const roles = both.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { device_id: string; role: string | null });
  expect(Object.fromEntries(roles.map(({ device_id: id, role }) => [id, role]))).toEqual({
    desk: null,
    hub: 'hub',
  });
  tracker.records.delete('12D3KooWRfdEznKxzJbPSkejpr8aRmRX6e8NGW1XWT5irbxBAzuV');
  await device.run(['record', '--cmd', 'ls']);
  await device.run(['sync', '--push', '--json']);
  await device.run(['record', '--cmd', 'pwd']);
  const { peers } = JSON.parse((await device.run(['sync-status', '--json'])).stdout) as { peers: object[] };
  expect(peers).toContainEqual(
    expect.objectContaining({
      peer_id: hub.peerId,
      is_hub: true,
      push_backlog: { entries: 1, deletions: 0 },
      last_push: { at_unix: expect.any(Number), state: 'ok', problem: null },
    }),
  );
  expect((await device.run(['sync-status'])).stdout).toMatch(/hub \(hub\) +\d+ +1 +\d+ s ago/);
});
