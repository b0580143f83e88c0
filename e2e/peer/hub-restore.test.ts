// A hub that lost its volume, got an older backup, or an older snapshot of its disk: with devices of `rr`, whose cursors never
// move back, nothing is missing on any device afterwards, and nothing is there twice.
import { readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { readSwarmKey } from '../../services/private-network/key.ts';
import { cleanUp } from '../../testing/cleanup.ts';
import { attempt } from '../../testing/command.ts';
import { readHistory, startHub, type TestHub } from '../../testing/hub.ts';
import { makeTestDirectory, startNetwork, type TestNetwork } from '../../testing/network.ts';
import { createRrDevice, type RrDevice } from '../../testing/rr-device.ts';
import { wireEntryId } from '../../testing/wire-entries.ts';

const TEST_TIMEOUT_MS = 300_000;

/** Commands that each device records at a time: more than one page. */
const AMOUNT = 250;

let network: TestNetwork;
let hub: TestHub;
let devices: readonly RrDevice[];
let laptop: RrDevice;
let backup: string;

// One relay and one tracker for all tests, because starting a process takes most of the time.
beforeAll(async () => {
  network = await startNetwork();
}, TEST_TIMEOUT_MS);
afterAll(cleanUp);

beforeEach(async () => {
  hub = await startHub(network, { env: { RUSTORY_SERVE_TO: 'anyone' } });
  backup = join(makeTestDirectory(), 'backup.db');
  const swarmKey = readSwarmKey(join(network.directory, 'swarm.key'));
  const create = async (deviceId: string, isVersion01: boolean) =>
    createRrDevice({
      swarmKey,
      deviceId,
      isVersion01,
      register: async (client) =>
        client.register(network.tracker.url, { user_id: 'ada', device_id: deviceId }),
    });
  laptop = await create('laptop', false);
  devices = [laptop, await create('desktop', false), await create('old', true)];
  for (const device of devices) device.record(AMOUNT);
  await syncAll();
}, TEST_TIMEOUT_MS);
afterEach(async () => {
  await hub.kill();
  removeDatabase();
}, TEST_TIMEOUT_MS);

function removeDatabase(): void {
  for (const name of readdirSync(dirname(hub.databasePath)))
    if (name.startsWith('hub.db')) rmSync(join(dirname(hub.databasePath), name));
}

/** The address of the hub with its present peer id. */
function address(): string {
  const peerId = String(hub.running.logged('node started').at(-1)?.['peerId']);
  return `${String(hub.env['RUSTORY_LISTEN'])}/p2p/${peerId}`;
}

/** Devices are never on at the same time; in the second round each gets what came after it. */
async function syncAll(): Promise<void> {
  for (let round = 0; round < 2; round += 1) for (const device of devices) await device.sync(address());
}

/** Runs a script of bash, in which `peer` is the program. Fails with the first command of a pipe that fails. */
const shell = async (script: string) =>
  attempt('bash', ['-o', 'pipefail', '-c', `peer() { "$NODE" services/peer/main.ts "$@"; }; ${script}`], {
    env: { ...hub.env, NODE: process.execPath, BACKUP: backup },
  });

/** All that was ever recorded, without what was deleted. */
function idsOf(count: number, deleted: readonly string[]): string[] {
  const ids = devices.flatMap(({ deviceId }) =>
    Array.from({ length: count }, (_, n) => wireEntryId(deviceId, n)),
  );
  return ids.filter((id) => !deleted.includes(id)).toSorted();
}

/** Starts the hub again, and expects that everything comes back. */
async function expectComplete(count: number, deleted: readonly string[] = []): Promise<void> {
  await hub.start();
  await syncAll();
  const expected = idsOf(count, deleted);
  const { integrity, entries, deletions } = readHistory(hub.databasePath);
  expect(integrity).toBe('ok');
  expect([...entries.keys()].toSorted()).toEqual(expected);
  expect([...deletions.keys()]).toEqual(deleted);
  for (const device of devices) {
    const known = device.deviceId === 'old' ? [...expected, ...deleted].toSorted() : expected;
    expect(device.ids()).toEqual(known);
  }
}

test(
  'the volume is lost',
  async () => {
    const before = address();
    laptop.remove(7);
    await syncAll();
    await hub.kill();
    removeDatabase();
    await expectComplete(AMOUNT, [wireEntryId('laptop', 7)]);
    expect(address()).not.toBe(before);
  },
  TEST_TIMEOUT_MS,
);

test(
  'an older backup is restored while the hub runs',
  async () => {
    const before = address();
    // Devices push while the copy is made.
    for (const device of devices) device.record(AMOUNT);
    const [made] = await Promise.all([shell('peer backup - > "$BACKUP"'), laptop.sync(address())]);
    expect(made).toMatchObject({ code: 0, stderr: expect.stringMatching(/^[\d,]+ entries, 0 deletions, /m) });
    // A reader that ends early has no complete copy.
    expect(await shell('peer backup - | head -c 1000 > /dev/null')).toMatchObject({ code: 1 });
    laptop.remove(7);
    for (const device of devices) device.record(AMOUNT);
    await syncAll();
    const highest = Math.max(...readHistory(hub.databasePath).entries.values());

    expect(await shell('peer restore - < "$BACKUP"')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/restored [\d,]+ entries, 0 deletions/),
    });
    expect(await hub.running.exited).toBe(5);
    expect(hub.running.stderr()).toMatch(/(replaced|deleted) while it was in use/);
    await expectComplete(3 * AMOUNT, [wireEntryId('laptop', 7)]);
    expect(address()).not.toBe(before);
    const { entries } = readHistory(hub.databasePath);
    expect(entries.get(wireEntryId('desktop', 3 * AMOUNT - 1))).toBeGreaterThan(highest);
    expect(readdirSync(network.directory).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    expect(await shell('peer hub --user-id eve')).toMatchObject({
      code: 78,
      stderr: expect.stringMatching(/user_id: .*hub\.db has the history of user \\*"ada\\*"/),
    });
  },
  TEST_TIMEOUT_MS,
);

test(
  'an older snapshot of the disk is put back, which the hub reports until it has a new identity',
  async () => {
    const before = address();
    const database = new DatabaseSync(hub.databasePath);
    database.prepare('VACUUM INTO ?').run(backup);
    database.close();
    for (const device of devices) device.record(AMOUNT);
    await syncAll();
    expect(await hub.stop()).toBe(0);
    renameSync(backup, hub.databasePath);
    await hub.start();
    expect(address()).toBe(before);
    // What a device pushes first does not hide the sign from the others.
    laptop.record(1);
    await syncAll();
    const [line] = hub.running.logged(
      'a peer has pulled more than this database ever stored; was an older copy of the database restored?',
    );
    expect(line).toMatchObject({ level: 'warn' });
    expect(await hub.metric('rustory_hub_high_requests_total')).toBeGreaterThan(0);
    expect(readHistory(hub.databasePath).entries.size).toBe(3 * AMOUNT + 1);

    laptop.record(AMOUNT - 1);
    for (const device of devices.slice(1)) device.record(AMOUNT);
    expect(await shell('peer hub new-identity')).toMatchObject({ code: 0 });
    expect(await hub.running.exited).toBe(5);
    await expectComplete(3 * AMOUNT);
    expect(address()).not.toBe(before);
  },
  TEST_TIMEOUT_MS,
);
