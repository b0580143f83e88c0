import { afterEach, expect, test } from '@jest/globals';
import { cleanUp } from '../../testing/cleanup.ts';
import { makeEntries, startNetwork } from '../../testing/network.ts';
import { until } from '../../testing/wait.ts';

afterEach(cleanUp);

/** The peer id of a device that serves, from its log. */
const PEER_ID = /12D3KooW\w+/;

test('a device answers the devices of its user only, and both sides say why', async () => {
  const network = await startNetwork();
  const desktop = network.device('desktop');
  desktop.insert(makeEntries('desktop', 3));
  const serving = await desktop.serve();
  const [started] = serving.logged('node started');
  const peerId = PEER_ID.exec(JSON.stringify(started))?.[0] ?? '';
  const circuit = `${network.relay.address}/p2p-circuit/p2p/${peerId}`;

  const other = network.device('other', { RUSTORY_USER_ID: 'bob' });
  for (let sync = 0; sync < 2; sync += 1) {
    const { code, stderr } = await other.run('sync', '--peers', circuit);
    expect(stderr).toMatch(/does not answer this device/);
    expect(stderr).toContain('"bob"');
    expect(stderr).toContain(network.tracker.url);
    expect(code).toBe(3);
  }
  expect(other.entries()).toEqual([]);
  const [refusal] = serving.logged('pull refused');
  expect(refusal).toMatchObject({ reason: expect.any(String), advice: expect.stringContaining('serve_to') });

  const laptop = network.device('laptop');
  expect(await laptop.run('sync', '--peers', circuit)).toMatchObject({ code: 0 });
  expect(laptop.entries()).toHaveLength(3);
});

test('a device without a tracker answers everyone, and says so at start', async () => {
  const network = await startNetwork();
  const desktop = network.device('desktop', { RUSTORY_TRACKERS: '' });
  desktop.insert(makeEntries('desktop', 3));
  const serving = desktop.start('serve');
  await serving.waitFor('reserved');
  await until(() => serving.stderr().includes('no tracker is configured'), 'it says so');
  const peerId = PEER_ID.exec(JSON.stringify(serving.logged('node started')[0]))?.[0] ?? '';
  const other = network.device('other', { RUSTORY_USER_ID: 'bob', RUSTORY_TRACKERS: '' });
  const circuit = `${network.relay.address}/p2p-circuit/p2p/${peerId}`;
  expect(await other.run('sync', '--peers', circuit)).toMatchObject({ code: 0 });
  expect(other.entries()).toHaveLength(3);
});
