import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../testing/cleanup.ts';
import {
  createDevice,
  type Device,
  makeEntries,
  startNetwork,
  type TestNetwork,
} from '../../testing/network.ts';
import { startSilentServer, UNKNOWN_PEER } from '../../testing/silent-server.ts';
import { until } from '../../testing/wait.ts';

afterEach(cleanUp);

interface Listed {
  readonly peer_id: string;
  readonly addrs: readonly string[];
  readonly meta: Readonly<Record<string, unknown>>;
}

async function list({ tracker }: TestNetwork, token?: string): Promise<Listed[]> {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  const response = await fetch(`${tracker.url}/api/v1/peers?user_id=demo`, { headers });
  return ((await response.json()) as { peers: Listed[] }).peers;
}

async function identityOf(device: Device): Promise<string> {
  const { stdout } = await device.run('doctor', '--json');
  return (
    /12D3KooW\w+/.exec(JSON.stringify((JSON.parse(stdout) as { findings: unknown }).findings))?.[0] ?? ''
  );
}

describe('a sync', () => {
  test('is listed without an address before its first dial, and no longer after SIGINT', async () => {
    const network = await startNetwork();
    const silent = await startSilentServer();
    const syncing = network.device('laptop').start('sync', '--peers', silent.address);
    await until(() => silent.connections() > 0, 'the sync is connecting');
    const [listed] = await list(network);
    expect(listed?.addrs).toEqual([]);
    expect(Object.keys(listed?.meta ?? {}).toSorted()).toEqual([
      'device_id',
      'hostname',
      'user_id',
      'version',
    ]);
    expect(listed?.meta).toMatchObject({ user_id: 'demo', device_id: 'laptop' });
    syncing.kill('SIGINT');
    expect(await syncing.exited).toBe(130);
    expect(await list(network)).toEqual([]);
  });

  test('uses the identity of the device and leaves the registration of its daemon', async () => {
    const network = await startNetwork();
    const [laptop, desktop] = [network.device('laptop'), network.device('desktop')];
    desktop.insert(makeEntries('desktop', 3));
    await desktop.serve();
    await laptop.serve();
    const peerId = await identityOf(laptop);
    const addressesOf = async () => (await list(network)).find((each) => each.peer_id === peerId)?.addrs;
    const before = await addressesOf();
    expect(before?.join()).toContain('/p2p-circuit');
    expect((await laptop.run('sync')).code).toBe(0);
    expect(await addressesOf()).toEqual(before);
    expect(await list(network)).toHaveLength(2);
    expect(laptop.entries()).toHaveLength(3);
  });

  test('leaves a registration that its daemon makes during the round', async () => {
    const network = await startNetwork();
    const silent = await startSilentServer();
    const laptop = network.device('laptop');
    const syncing = laptop.start('sync', '--peers', silent.address);
    await until(() => silent.connections() > 0, 'the sync is connecting');
    await laptop.serve();
    syncing.kill('SIGTERM');
    expect(await syncing.exited).toBe(143);
    const [listed, ...others] = await list(network);
    expect(others).toEqual([]);
    expect(listed?.addrs.join()).toContain('/p2p-circuit');
  });

  test('with a read-only token warns and syncs', async () => {
    const network = await startNetwork({ tokens: 'all-of-it\nreading read-only\n' });
    // A device that cannot register is not a member.
    const desktop = network.device('desktop', {
      RUSTORY_TRACKER_TOKEN: 'all-of-it',
      RUSTORY_SERVE_TO: 'anyone',
    });
    desktop.insert(makeEntries('desktop', 3));
    await desktop.serve();
    const laptop = network.device('laptop', { RUSTORY_TRACKER_TOKEN: 'reading' });
    const { code, stderr } = await laptop.run('sync');
    expect(stderr).toMatch(/warning: This device is not registered: .* 403/);
    expect(code).toBe(0);
    expect(laptop.entries()).toHaveLength(3);
  });

  test('with --watch stays listed between rounds', async () => {
    const network = await startNetwork();
    const watching = network.device('laptop').start('sync', '--watch', '--interval-sec', '3600', '--json');
    await until(() => watching.stdout().includes('"peers":0'), 'the first round has ended');
    expect(await list(network)).toHaveLength(1);
    expect(await watching.stop()).toBe(0);
    expect(await list(network)).toEqual([]);
  });
});

test('a device that is listed without an address is skipped and fails no sync', async () => {
  const network = await startNetwork();
  const watching = network.device('desktop').start('sync', '--watch', '--interval-sec', '3600', '--json');
  await until(() => watching.stdout().includes('"peers":0'), 'the first round has ended');
  const [listed] = await list(network);
  const { code, stdout } = await network.device('laptop').run('sync', '--json');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    peer_id: listed?.peer_id,
    skipped: expect.stringContaining('lists no address'),
  });
});

test('a daemon without an address is listed with none', async () => {
  const network = await startNetwork();
  const env = { ...network.device('laptop').env };
  // Nothing listens on this port, so that there is no reservation.
  env['RUSTORY_RELAY_ADDR'] = `/ip4/127.0.0.1/tcp/9/p2p/${UNKNOWN_PEER}`;
  const daemon = createDevice('laptop', env).start('daemon');
  await daemon.waitFor('registered');
  const [listed] = await list(network);
  expect(listed?.addrs).toEqual([]);
  expect(await daemon.stop()).toBe(0);
  expect(await list(network)).toEqual([]);
});
