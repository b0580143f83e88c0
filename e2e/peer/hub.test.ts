// The hub as a process. The tests share one network and one hub, and each continues where the one before ended, because
// every start of a process needs more than a second of CPU time.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startRelay, startTracker } from '../../scripts/local-network.ts';
import { cleanUp, onCleanup } from '../../testing/cleanup.ts';
import { createTestHome } from '../../testing/cli.ts';
import { connectAgain, readHistory, startHub, startMember, type TestHub } from '../../testing/hub.ts';
import { startNetwork, type TestNetwork } from '../../testing/network.ts';
import type { PushClient } from '../../testing/push-client.ts';
import { until } from '../../testing/wait.ts';
import { wireEntries } from '../../testing/wire-entries.ts';

const TEST_TIMEOUT_MS = 300_000;

let network: TestNetwork;
let hub: TestHub;
let member: PushClient;

beforeAll(async () => {
  network = await startNetwork();
  hub = await startHub(network);
  member = await startMember(network, 'laptop');
}, TEST_TIMEOUT_MS);

afterAll(cleanUp, TEST_TIMEOUT_MS);

interface Listed {
  readonly peer_id: string;
  readonly addrs: readonly string[];
  readonly meta: Readonly<Record<string, unknown>>;
}

async function list(): Promise<Listed[]> {
  const response = await fetch(`${network.tracker.url}/api/v1/peers?user_id=ada`);
  return ((await response.json()) as { peers: Listed[] }).peers;
}

const devices = async (): Promise<unknown[]> => (await list()).map(({ meta }) => meta['device_id']);

/** Runs a command about the hub with its configuration, in this process. */
const run = async (...args: string[]) => createTestHome().run(['hub', ...args], { ...hub.env });

describe('the hub', () => {
  test(
    'is registered as a hub with its circuit only, is ready, and counts what it stores',
    async () => {
      await hub.registered();
      expect((await list()).find(({ peer_id: peerId }) => peerId === hub.peerId)).toMatchObject({
        addrs: [hub.circuit],
        meta: { user_id: 'ada', device_id: 'hub', role: 'hub', version: expect.any(String) },
      });
      expect(hub.running.logged('hub')[0]).toMatchObject({
        peerId: hub.peerId,
        userId: 'ada',
        deviceId: 'hub',
      });
      expect(await hub.readiness()).toEqual({ status: 200, body: 'ok\n' });
      expect(await hub.metric('rustory_hub_reservations')).toBe(1);

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
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'ends with exit code 5 when it gets a new identity, under which everything is there',
    async () => {
      const shown = await run('identity', '--json');
      expect(JSON.parse(shown.stdout)).toMatchObject({
        peer_id: hub.peerId,
        user_id: 'ada',
        device_id: 'hub',
        addrs: [hub.circuit],
      });
      const renewed = await run('new-identity', '--json');
      expect(renewed.code).toBe(0);
      const { peer_id: peerId } = JSON.parse(renewed.stdout) as { peer_id: string };
      expect(peerId).not.toBe(hub.peerId);
      expect(await hub.running.exited).toBe(5);
      expect(await devices()).toEqual(['laptop']);

      await hub.start();
      expect(hub.running.logged('node started')[0]?.['peerId']).toBe(peerId);
      const again = hub.address.replace(hub.peerId, peerId);
      const connection = await connectAgain(member, { ...hub, address: again });
      // The cursors of a device start at 0 for the new peer id; nothing is stored twice.
      expect((await member.pullAll(connection)).entries).toHaveLength(50);
      const answer = await member.push(connection, { entries: wireEntries('laptop', 60) });
      expect(answer).toMatchObject({ ok: true, inserted: 10, ignored: 50 });
      expect(readHistory(hub.databasePath).entries.size).toBe(60);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'without relays and announced addresses is not registered',
    async () => {
      const env = { RUSTORY_RELAY_ADDR: '', RUSTORY_DB_PATH: join(network.directory, 'alone.db') };
      const alone = await startHub(network, { env });
      await alone.running.waitFor('not registered without an address');
      expect((await list()).map(({ peer_id: peerId }) => peerId)).not.toContain(alone.peerId);
      expect(await alone.stop()).toBe(0);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'leaves at SIGTERM; without space it is not ready with its reason, and still gives what it has; it starts without relay and tracker',
    async () => {
      await hub.registered();
      expect(await hub.stop()).toBe(0);
      expect(await devices()).toEqual(['laptop']);
      await Promise.all([network.tracker.stop(), network.relay.stop()]);

      const full = await startHub(network, { env: { RUSTORY_MIN_FREE_BYTES: String(2 ** 53 - 1) } });
      await full.running.waitFor('reservation failed');
      await full.running.waitFor('not registered without an address');
      // Neither the relay nor the tracker is a reason.
      const { status, body } = await full.readiness();
      expect([status, body]).toEqual([
        503,
        expect.stringMatching(/^[^:]*storage: [^\n]*the disk is full[^\n]*\n$/),
      ]);
      expect(await full.metric('rustory_hub_storage_problem', 'reason="disk_full"')).toBe(1);
      const connection = await connectAgain(member, full);
      const refused = await member.push(connection, { entries: wireEntries('laptop', 5, { first: 60 }) });
      expect(refused).toMatchObject({ ok: false });
      expect((await member.pullAll(connection)).entries).toHaveLength(60);

      const port = network.relay.address.split('/')[4];
      const [relay, tracker] = await Promise.all([
        startRelay(network.directory, { env: { RELAY_LISTEN: `/ip4/127.0.0.1/tcp/${port}` } }),
        startTracker({ env: { TRACKER_LISTEN: new URL(network.tracker.url).host } }),
      ]);
      onCleanup(async () => relay.stop());
      onCleanup(async () => tracker.stop());
      await full.registered();
    },
    TEST_TIMEOUT_MS,
  );

  test('reports everything that is wrong with its configuration, with exit code 78', async () => {
    const { RUSTORY_USER_ID: _, RUSTORY_HUB_SECRET_PATH: __, ...env } = hub.env;
    const { code, stderr } = await createTestHome().run(['hub'], {
      ...env,
      RUSTORY_OPS_PORT: 'http',
      RUSTORY_ANNOUNCE_ADDRS: '/ip4/1.2.3.4/udp/1',
    });
    expect(code).toBe(78);
    for (const name of ['user_id', 'hub_secret_path', 'RUSTORY_OPS_PORT', 'RUSTORY_ANNOUNCE_ADDRS'])
      expect(stderr).toContain(`  - ${name}: `);
  });
});
