// A hub whose disk fills up: it refuses what it cannot store, says so, and goes on when there is space.
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../testing/cleanup.ts';
import { connectAgain, readHistory, startHub, startMember, type TestHub } from '../../testing/hub.ts';
import { startNetwork } from '../../testing/network.ts';
import { HAS_SMALL_DISKS, mountSmallDisk } from '../../testing/small-disk.ts';
import { until } from '../../testing/wait.ts';
import { wireEntries } from '../../testing/wire-entries.ts';

afterEach(cleanUp);

const TEST_TIMEOUT_MS = 300_000;
const MIB = 1024 * 1024;
const BATCH = 500;

async function untilReady(hub: TestHub, status: number): Promise<string> {
  let readiness = await hub.readiness();
  await until(async () => {
    readiness = await hub.readiness();
    return readiness.status === status;
  }, `/readyz answers ${status}`);
  return readiness.body;
}

(HAS_SMALL_DISKS ? describe : describe.skip)('a hub on a small disk', () => {
  test.each([
    ['has no free byte', '0', '0'],
    ['has less free space than min_free_bytes', String(2 * MIB), String(MIB)],
  ])(
    'that %s refuses pushes, answers pulls, and stores again when there is space',
    async (_, minFree, left) => {
      const network = await startNetwork();
      const disk = await mountSmallDisk(join(network.directory, 'disk'), '12m');
      const hub = await startHub(network, { disk, env: { RUSTORY_MIN_FREE_BYTES: minFree } });
      const laptop = await startMember(network, 'laptop');
      const connection = await connectAgain(laptop, hub);
      const batch = (number: number) => wireEntries('laptop', BATCH, { first: number * BATCH });
      expect(await laptop.push(connection, { entries: batch(0) })).toMatchObject({ ok: true });
      await untilReady(hub, 200);

      const ballast = join(disk.folder, 'ballast');
      const fill = 'head -c $(($(df --output=avail -B1 "$1" | tail -1) - $3)) /dev/zero > "$2"; true';
      disk.exec('sh', '-c', fill, 'sh', disk.folder, ballast, left);
      const { pid } = hub.running;
      let acknowledged = 1;
      // What fits into the files that exist is stored.
      for (let answer = { ok: true }; answer.ok; acknowledged += Number(answer.ok))
        answer = await laptop.push(connection, { entries: batch(acknowledged) });
      expect(acknowledged).toBeLessThan(40);
      expect(await untilReady(hub, 503)).toMatch(/the disk is full/);
      expect(await hub.metric('rustory_hub_pushes_total', 'outcome="disk_full"')).toBeGreaterThan(0);
      expect(hub.running.logged('push not stored')).toContainEqual(
        expect.objectContaining({ outcome: 'disk_full' }),
      );

      const member = await startMember(network, 'desktop');
      const { entries } = await member.pullAll(await connectAgain(member, hub));
      expect(entries).toHaveLength(acknowledged * BATCH);

      disk.exec('rm', ballast);
      await untilReady(hub, 200);
      expect(await laptop.push(connection, { entries: batch(acknowledged) })).toMatchObject({
        ok: true,
        inserted: BATCH,
      });
      expect(hub.running.pid).toBe(pid);
      const rest = await member.pullAll(await connectAgain(member, hub));
      expect(new Set(rest.entries.map(({ entry_id }) => entry_id)).size).toBe((acknowledged + 1) * BATCH);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'whose database has its maximum size refuses pushes before the disk is full',
    async () => {
      const network = await startNetwork();
      const hub = await startHub(network, { env: { RUSTORY_MAX_DATABASE_BYTES: String(3 * MIB) } });
      const laptop = await startMember(network, 'laptop');
      const connection = await connectAgain(laptop, hub);
      let acknowledged = 0;
      for (let answer = { ok: true }; answer.ok; acknowledged += Number(answer.ok))
        answer = await laptop.push(connection, {
          entries: wireEntries('laptop', BATCH, { first: acknowledged * BATCH }),
        });
      expect(acknowledged).toBeGreaterThan(0);
      expect(acknowledged).toBeLessThan(40);
      expect(await untilReady(hub, 503)).toMatch(/the database has its maximum size/);
      expect(await hub.metric('rustory_hub_pushes_total', 'outcome="database_full"')).toBeGreaterThan(0);
      expect(await hub.stop()).toBe(0);
      const { integrity, entries } = readHistory(hub.databasePath);
      expect([integrity, entries.size]).toEqual(['ok', acknowledged * BATCH]);
    },
    TEST_TIMEOUT_MS,
  );
});
