// Devices that are never on at the same time sync through the hub. The devices that are not ours are written from what
// `rr` 1.x and 0.1 send.
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { readSwarmKey } from '../../services/private-network/key.ts';
import { cleanUp } from '../../testing/cleanup.ts';
import { connectAgain, readHistory, startHub, startMember } from '../../testing/hub.ts';
import { type Device, makeEntries, startNetwork, type TestNetwork } from '../../testing/network.ts';
import { startPushClient } from '../../testing/push-client.ts';
import { wireDeletion, wireEntries, wireEntryId, wireTime } from '../../testing/wire-entries.ts';

afterEach(cleanUp);

const TEST_TIMEOUT_MS = 300_000;

/** Devices of ours, which reach the hub through the relay only. */
function ourDevice(network: TestNetwork, name: string, env: Record<string, string> = {}): Device {
  return network.device(name, { RUSTORY_USER_ID: 'ada', RUSTORY_DIAL_STRATEGY: 'relay-only', ...env });
}

/** Runs one sync that pushes. Nothing of the device runs afterwards. */
async function comeAndGo(device: Device): Promise<void> {
  const { code, stderr } = await device.run('sync', '--push', '--json');
  expect([code, stderr]).toEqual([0, expect.any(String)]);
}

const idsOf = (device: Device): string[] => device.entries().map(({ entry_id }) => entry_id);

const ids = (device: string, count: number): string[] =>
  Array.from({ length: count }, (_, position) => wireEntryId(device, position));

describe('three devices that are never on at the same time', () => {
  test(
    'have everything through the hub, each entry once, and deletions reach a device that was off',
    async () => {
      const network = await startNetwork();
      const hub = await startHub(network);
      await hub.registered();
      const laptop = ourDevice(network, 'laptop');
      laptop.insert(makeEntries('laptop', 300));
      await comeAndGo(laptop);

      // A device with `rr` 1.x: it pulls and pushes over one circuit.
      let desktop = await startMember(network, 'desktop');
      let circuit = await desktop.connect(hub.circuit);
      expect((await desktop.pullAll(circuit)).entries.map(({ entry_id }) => entry_id)).toEqual(
        ids('laptop', 300),
      );
      expect(await desktop.push(circuit, { entries: wireEntries('desktop', 200) })).toMatchObject({
        ok: true,
        inserted: 200,
        ignored: 0,
      });
      await desktop.unregister(network.tracker.url);
      await desktop.stop();

      const work = ourDevice(network, 'work');
      work.insert(makeEntries('work', 100));
      await comeAndGo(work);
      const everything = [...ids('desktop', 200), ...ids('laptop', 300), ...ids('work', 100)];
      expect(idsOf(work)).toEqual(everything);
      await comeAndGo(laptop);
      expect(idsOf(laptop)).toEqual(everything);

      // The laptop deletes one entry while the others are off, and goes.
      expect((await laptop.run('delete', wireEntryId('laptop', 7))).code).toBe(0);
      await comeAndGo(laptop);
      const { identity } = desktop;
      desktop = await startMember(network, 'desktop', { identity });
      circuit = await desktop.connect(hub.circuit);
      const pulled = await desktop.pullAll(circuit, { encoding: 'json' });
      expect(pulled.deletions.map(({ entry_id }) => entry_id)).toEqual([wireEntryId('laptop', 7)]);
      expect(pulled.entries).toHaveLength(599);
      expect(await desktop.push(circuit, { deletions: [wireDeletion('desktop', 5)] })).toMatchObject({
        ok: true,
        deletion_inserted: 1,
        deletion_deleted: 1,
      });
      await desktop.stop();
      await comeAndGo(work);
      const left = everything.filter(
        (id) => ![wireEntryId('laptop', 7), wireEntryId('desktop', 5)].includes(id),
      );
      expect(idsOf(work)).toEqual(left);
      await comeAndGo(laptop);
      expect(idsOf(laptop)).toEqual(left);
      expect([...readHistory(hub.databasePath).entries.keys()].toSorted()).toEqual(left);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'of which two have rr 0.1, a random peer id each time and no registration, have everything when the hub answers anyone',
    async () => {
      const network = await startNetwork();
      const hub = await startHub(network, { env: { RUSTORY_SERVE_TO: 'anyone' } });
      await hub.registered();
      const swarmKey = readSwarmKey(join(network.directory, 'swarm.key'));
      for (const [device, before] of [
        ['first', 0],
        ['second', 50],
        ['first', 100],
      ] as const) {
        const client = await startPushClient({ swarmKey, muxer: 'mplex' });
        const circuit = await client.connect(hub.circuit);
        const { entries, next_cursor: next } = await client.pull(circuit, { cursor: 0, limit: 1_000 });
        expect(entries).toHaveLength(before);
        expect(next).toEqual(before === 0 ? null : expect.any(Number));
        const answer = await client.push(circuit, { entries: wireEntries(device, 50) });
        expect(answer).toMatchObject({ ok: true, inserted: before === 100 ? 0 : 50 });
        await client.stop();
      }
      const ours = ourDevice(network, 'ours');
      await comeAndGo(ours);
      expect(idsOf(ours)).toEqual([...ids('first', 50), ...ids('second', 50)]);
    },
    TEST_TIMEOUT_MS,
  );
});

/** Moves the clock of a process of Node.js. */
const clockAhead = (seconds: number): Record<string, string> => {
  const code = `const now = Date.now; globalThis.Date = class extends Date {
    constructor(...args) { if (args.length === 0) super(now() + ${seconds * 1000}); else super(...args); }
    static now() { return now() + ${seconds * 1000}; }
  };`;
  return { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(code)}` };
};

const YEAR_SECONDS = 365 * 24 * 3600;

describe('devices with wrong clocks', () => {
  test(
    'push and pull, and times arrive as they were recorded',
    async () => {
      const network = await startNetwork();
      const hub = await startHub(network);
      await hub.registered();
      const raw = await startMember(network, 'raw');
      const times = [-62_000_000_000, -1, 0, 4_000_000_000, 253_000_000_000];
      const entries = times.map((seconds, index) => ({
        ...wireEntries('raw', 1)[0],
        entry_id: wireEntryId('raw', index),
        ts: wireTime(seconds),
      }));
      const circuit = await raw.connect(hub.circuit);
      expect(await raw.push(circuit, { entries })).toMatchObject({ ok: true, inserted: times.length });
      await raw.stop();

      const ahead = ourDevice(network, 'ahead', clockAhead(10 * YEAR_SECONDS));
      const behind = ourDevice(network, 'behind', clockAhead(-40 * YEAR_SECONDS));
      for (const device of [ahead, behind]) {
        expect((await device.run('record', '--cmd', 'echo now')).code).toBe(0);
        await comeAndGo(device);
      }
      await comeAndGo(ahead);
      const right = ourDevice(network, 'right');
      await comeAndGo(right);
      const stored = right.entries();
      expect(stored.filter(({ device_id: id }) => id === 'raw').map(({ ts }) => ts)).toEqual(times);
      for (const [id, offsetSeconds] of [
        ['ahead', 10 * YEAR_SECONDS],
        ['behind', -40 * YEAR_SECONDS],
      ] as const) {
        const recorded = stored.find(({ device_id: device }) => device === id);
        // It was recorded with the wrong clock.
        expect(Math.abs(Number(recorded?.ts) - Date.now() / 1000 - offsetSeconds)).toBeLessThan(YEAR_SECONDS);
      }
      for (const device of [ahead, behind]) expect(device.entries()).toEqual(stored);
    },
    TEST_TIMEOUT_MS,
  );
});

describe('pushes at the same time', () => {
  test(
    'of the same entries, by two registrations of one device and over two connections, are stored once',
    async () => {
      const network = await startNetwork();
      const hub = await startHub(network);
      // A reinstalled device: another peer id, and the name with the architecture.
      const old = await startMember(network, 'laptop');
      const reinstalled = await startMember(network, 'laptop-x86_64');
      const connections = await Promise.all([
        connectAgain(old, hub),
        connectAgain(old, hub),
        connectAgain(reinstalled, hub),
        connectAgain(reinstalled, hub),
      ]);
      const entries = wireEntries('laptop', 2_000);
      const deletions = [wireDeletion('laptop', 1_999), wireDeletion('laptop', 5_000)];
      const answers = await Promise.all(
        connections.map(async (connection, index) => {
          const client = index < 2 ? old : reinstalled;
          return client.push(connection, { entries: entries.slice(0, -1), deletions });
        }),
      );
      expect(answers.map(({ ok }) => ok)).toEqual([true, true, true, true]);
      const sum = (read: (answer: (typeof answers)[number]) => number | null | undefined): number =>
        answers.reduce((total, answer) => total + (read(answer) ?? 0), 0);
      expect(sum(({ inserted }) => inserted)).toBe(1_999);
      expect(sum(({ ignored }) => ignored)).toBe(3 * 1_999);
      expect(sum(({ deletion_inserted: inserted }) => inserted)).toBe(2);
      const { entries: stored, deletions: deleted } = readHistory(hub.databasePath);
      expect([stored.size, deleted.size]).toEqual([1_999, 2]);
    },
    TEST_TIMEOUT_MS,
  );
});
