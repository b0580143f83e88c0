import { afterEach, describe, expect, test } from '@jest/globals';
import { startRelay, startTracker } from '../../scripts/local-network.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { connectAgain, readHistory, startHub, startMember, type TestHub } from '../../testing/hub.ts';
import { createDevice, startNetwork, type TestNetwork } from '../../testing/network.ts';
import { until } from '../../testing/wait.ts';
import { wireEntries } from '../../testing/wire-entries.ts';

afterEach(cleanUp);

interface Listed {
  readonly peer_id: string;
  readonly addrs: readonly string[];
  readonly meta: Readonly<Record<string, unknown>>;
}

async function list({ tracker }: TestNetwork): Promise<Listed[]> {
  const response = await fetch(`${tracker.url}/api/v1/peers?user_id=ada`);
  return ((await response.json()) as { peers: Listed[] }).peers;
}

/** Runs a command about the hub with its configuration. */
const run = async ({ env }: TestHub, ...args: string[]) =>
  createDevice('hub', { ...env }).run('hub', ...args);

describe('the hub', () => {
  test('is registered as a hub with its circuit only, is ready, counts what it stores, and leaves at SIGTERM', async () => {
    const network = await startNetwork();
    const hub = await startHub(network);
    await hub.registered();
    const listed = (await list(network)).find(({ peer_id: peerId }) => peerId === hub.peerId);
    expect(listed).toMatchObject({
      addrs: [hub.circuit],
      meta: { user_id: 'ada', device_id: 'hub', role: 'hub', version: expect.any(String) },
    });
    expect(await hub.readiness()).toEqual({ status: 200, body: 'ok\n' });
    expect(await hub.metric('rustory_hub_reservations')).toBe(1);

    const member = await startMember(network, 'laptop');
    const connection = await member.connect(hub.circuit);
    const entries = wireEntries('laptop', 50);
    expect(await member.push(connection, { entries })).toMatchObject({ ok: true, inserted: 50 });
    expect((await member.pullAll(connection)).entries).toHaveLength(50);
    await until(async () => (await hub.metric('rustory_hub_devices')) === 1, 'the device is seen');
    expect(await hub.metric('rustory_hub_pushes_total', 'outcome="stored"')).toBe(1);
    expect(await hub.metric('rustory_hub_stored_entries_total', 'source="push"')).toBe(50);
    expect(await hub.metric('rustory_hub_sent_entries_total')).toBe(50);
    expect(await hub.metric('rustory_hub_lag_seconds_count')).toBe(1);
    expect(await hub.metric('rustory_hub_device_silent_seconds_count')).toBe(1);
    expect(await hub.metric('rustory_hub_database_bytes')).toBeGreaterThan(0);

    expect(await hub.stop()).toBe(0);
    expect((await list(network)).map(({ meta }) => meta['device_id'])).toEqual(['laptop']);
    expect(hub.running.logged('hub')[0]).toMatchObject({
      peerId: hub.peerId,
      userId: 'ada',
      deviceId: 'hub',
    });
  });

  test('ends with exit code 5 when it gets a new identity, under which everything is there', async () => {
    const network = await startNetwork();
    const hub = await startHub(network);
    await hub.registered();
    const member = await startMember(network, 'laptop');
    await member.push(await member.connect(hub.address), { entries: wireEntries('laptop', 20) });

    const shown = await run(hub, 'identity', '--json');
    expect(JSON.parse(shown.stdout)).toMatchObject({
      peer_id: hub.peerId,
      user_id: 'ada',
      device_id: 'hub',
      addrs: [hub.circuit],
    });
    const renewed = await run(hub, 'new-identity', '--json');
    expect(renewed.code).toBe(0);
    const { peer_id: peerId } = JSON.parse(renewed.stdout) as { peer_id: string };
    expect(peerId).not.toBe(hub.peerId);
    expect(await hub.running.exited).toBe(5);
    expect((await list(network)).map(({ meta }) => meta['device_id'])).toEqual(['laptop']);

    await hub.start();
    expect(hub.running.logged('node started')[0]?.['peerId']).toBe(peerId);
    const again = hub.address.replace(hub.peerId, peerId);
    const connection = await connectAgain(member, { ...hub, address: again });
    // The cursors of a device start at 0 for the new peer id; nothing is stored twice.
    expect((await member.pullAll(connection)).entries).toHaveLength(20);
    const answer = await member.push(connection, { entries: wireEntries('laptop', 20) });
    expect(answer).toMatchObject({ ok: true, ignored: 20 });
    expect(readHistory(hub.databasePath).entries.size).toBe(20);
  });

  test('is not ready with its reason when nothing can be stored, and still gives what it has', async () => {
    const network = await startNetwork();
    const hub = await startHub(network);
    const member = await startMember(network, 'laptop');
    await member.push(await member.connect(hub.address), { entries: wireEntries('laptop', 3) });
    await hub.stop();
    const full = await startHub(network, { env: { RUSTORY_MIN_FREE_BYTES: String(2 ** 53 - 1) } });
    const { status, body } = await full.readiness();
    expect(status).toBe(503);
    expect(body).toContain('storage: ');
    expect(body).toContain('the disk is full');
    expect(await full.metric('rustory_hub_storage_problem', 'reason="disk_full"')).toBe(1);
    const connection = await connectAgain(member, full);
    expect(await member.push(connection, { entries: wireEntries('laptop', 5) })).toMatchObject({ ok: false });
    expect((await member.pullAll(connection)).entries).toHaveLength(3);
  });

  test('starts without its relay and its tracker, and is found as soon as they are there', async () => {
    const network = await startNetwork();
    await network.tracker.stop();
    await network.relay.stop();
    const hub = await startHub(network);
    expect(await hub.readiness()).toEqual({ status: 200, body: 'ok\n' });
    await hub.running.waitFor('reservation failed');
    await hub.running.waitFor('not registered without an address');
    const port = network.relay.address.split('/')[4];
    const relay = await startRelay(network.directory, {
      env: { RELAY_LISTEN: `/ip4/127.0.0.1/tcp/${port}` },
    });
    onCleanup(async () => relay.stop());
    const tracker = await startTracker({ env: { TRACKER_LISTEN: new URL(network.tracker.url).host } });
    onCleanup(async () => tracker.stop());
    await hub.registered();
  });

  test('reports everything that is wrong with its configuration, with exit code 78', async () => {
    const network = await startNetwork();
    const { env } = network.device('hub');
    const { RUSTORY_USER_ID: _, ...rest } = env;
    const { code, stderr } = await createDevice('hub', {
      ...rest,
      RUSTORY_OPS_PORT: 'http',
      RUSTORY_ANNOUNCE_ADDRS: '/ip4/1.2.3.4/udp/1',
    }).run('hub');
    expect(code).toBe(78);
    for (const name of ['user_id', 'hub_secret_path', 'RUSTORY_OPS_PORT', 'RUSTORY_ANNOUNCE_ADDRS'])
      expect(stderr).toContain(`  - ${name}: `);
  });
});
