import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { afterEach, expect, test } from '@jest/globals';
import { identityFromSeed } from '../../private-network/identity.ts';
import { formatSwarmKey } from '../../private-network/key.ts';
import { cleanUp } from '../../../testing/cleanup.ts';
import { createTestHome } from '../../../testing/cli.ts';
import { startTestRelay, testSwarmKey } from '../../../testing/peer.ts';
import { startTestTracker } from '../../../testing/test-tracker.ts';

afterEach(cleanUp);

const SECRET = 'a secret of a hub that nobody else has';

interface Found {
  readonly subject: string;
  readonly state: string;
  readonly detail: string;
  readonly advice?: string;
}

async function createHub() {
  const device = createTestHome();
  const tracker = await startTestTracker();
  const relay = await startTestRelay();
  const paths = { key: join(device.home, 'swarm.key'), secret: join(device.home, 'hub.secret') };
  writeFileSync(paths.key, formatSwarmKey(testSwarmKey), { mode: 0o600 });
  writeFileSync(paths.secret, SECRET, { mode: 0o600 });
  const env = {
    RUSTORY_USER_ID: 'ada',
    RUSTORY_HUB_SECRET_PATH: paths.secret,
    RUSTORY_SWARM_KEY_PATH: paths.key,
    RUSTORY_DB_PATH: join(device.home, 'hub.db'),
    RUSTORY_TRACKERS: tracker.url,
    RUSTORY_RELAY_ADDR: relay.address,
  };
  return {
    tracker,
    relay,
    async peerId(): Promise<string> {
      const { stdout } = await device.run(['hub', 'identity', '--json'], env);
      return (JSON.parse(stdout) as { peer_id: string }).peer_id;
    },
    run: async (args: readonly string[], more: Record<string, string> = {}) =>
      device.run(args, { ...env, ...more }),
    async doctor(more: Record<string, string> = {}): Promise<Found[]> {
      const { stdout } = await device.run(['doctor', '--json'], { ...env, ...more });
      return (JSON.parse(stdout) as { findings: Found[] }).findings;
    },
  };
}

const find = (findings: readonly Found[], subject: string) =>
  findings.filter((finding) => finding.subject === subject);

test('doctor with the configuration of a hub checks the identity of its database, and its registration', async () => {
  const hub = await createHub();
  // The database does not exist yet.
  const [identity] = find(await hub.doctor(), 'identity');
  const peerId = await hub.peerId();
  expect(identity).toMatchObject({ state: 'ok', detail: expect.stringContaining(peerId) });

  const absent = await hub.doctor();
  expect(find(absent, 'hub')).toEqual([
    expect.objectContaining({
      state: 'warning',
      detail: `This hub is not registered at ${hub.tracker.url}.`,
    }),
  ]);
  expect(find(absent, 'relay')).toMatchObject([{ state: 'ok' }]);

  const circuit = `${hub.relay.address}/p2p-circuit/p2p/${peerId}`;
  hub.tracker.put(peerId, [circuit], { user_id: 'ada', device_id: 'hub', role: 'hub' });
  expect(find(await hub.doctor(), 'hub')).toMatchObject([
    { state: 'ok', detail: expect.stringContaining('with 1 address') },
  ]);
});

test('hub identity names an announced address of another peer, with which the hub does not start', async () => {
  const hub = await createHub();
  const other = '/ip4/8.8.8.8/tcp/4002/p2p/12D3KooWRfdEznKxzJbPSkejpr8aRmRX6e8NGW1XWT5irbxBAzuV';
  const { code, stderr } = await hub.run(['hub', 'identity'], { RUSTORY_ANNOUNCE_ADDRS: other });
  expect([code, stderr]).toEqual([
    0,
    expect.stringContaining(`announce_addrs: "${other}" names another peer`),
  ]);
});

test('the seed of a relay is not accepted as the secret of a hub', async () => {
  const hub = await createHub();
  const relay = peerIdFromPrivateKey(await identityFromSeed(Buffer.from(SECRET), 0)).toString();
  const { code, stderr } = await hub.run(['hub', 'identity'], {
    RUSTORY_RELAY_ADDR: `/dns4/relay.lan/tcp/4001/p2p/${relay}`,
  });
  expect([code, stderr]).toEqual([78, expect.stringContaining('has the seed of a relay in relay_addr')]);
});

test('doctor shows the defaults of a hub', async () => {
  const hub = await createHub();
  const { stdout } = await hub.run(['doctor', '--json']);
  const { settings } = JSON.parse(stdout) as { settings: object[] };
  expect(settings).toContainEqual({ key: 'device_id', value: 'hub', origin: 'default' });
  expect(settings).toContainEqual({ key: 'listen', value: '/ip4/0.0.0.0/tcp/4002', origin: 'default' });
});

test('doctor reports a secret that cannot be used, and connects to relays in the cluster', async () => {
  const hub = await createHub();
  const missing = await hub.doctor({ RUSTORY_HUB_SECRET_PATH: '/nowhere/hub.secret' });
  expect(find(missing, 'identity')).toMatchObject([
    { state: 'failed', detail: expect.stringContaining('/nowhere/hub.secret') },
  ]);
  const [internal] = hub.relay.address.split('/p2p/');
  const found = await hub.doctor({ RUSTORY_RELAY_ADDR: '', RUSTORY_INTERNAL_RELAY_ADDRS: String(internal) });
  expect(find(found, 'relay')).toMatchObject([
    { state: 'ok', detail: expect.stringContaining(String(internal)) },
  ]);
});
