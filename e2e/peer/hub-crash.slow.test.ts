// A hub loses nothing that it has acknowledged: neither when its process is killed, nor when the power fails.
import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../testing/cleanup.ts';
import { connectAgain, readHistory, startHub, startMember } from '../../testing/hub.ts';
import { startPusher } from '../../testing/hub-pusher.ts';
import { startNetwork } from '../../testing/network.ts';
import { createRandom } from '../../testing/random.ts';
import { HAS_DISK_IMAGES, mountDiskImage } from '../../testing/small-disk.ts';
import { until } from '../../testing/wait.ts';
import { wireDeletion, wireEntries } from '../../testing/wire-entries.ts';

afterEach(cleanUp);

/** Enough to interrupt pushes at several places. `TEST_KILLS=20 TEST_ENTRIES=100000` is the full size. */
const KILLS = Number(process.env['TEST_KILLS'] ?? 8);
const ENTRIES = Number(process.env['TEST_ENTRIES'] ?? 30_000);
const BATCH = 1_000;

/** The longest pause between an acknowledgement and a kill, in milliseconds: longer than a push takes. */
const MAX_PAUSE_MS = 60;

const TEST_TIMEOUT_MS = 900_000;
const WAIT_MS = 240_000;

const IMAGE_BYTES = 32 * 1024 * 1024;

/** The seed of another run, to repeat it. */
const SEED = Number(process.env['TEST_SEED'] ?? randomInt(2 ** 32));

describe('a hub', () => {
  test(
    `that is killed ${KILLS} times during pushes of ${ENTRIES} entries (seed ${SEED}) loses and doubles nothing that it acknowledged`,
    async () => {
      const random = createRandom(SEED);
      const network = await startNetwork();
      const hub = await startHub(network);
      const laptop = await startMember(network, 'laptop');
      const desktop = await startMember(network, 'desktop');
      const reader = await startMember(network, 'reader');
      const pushers = [
        startPusher(laptop, hub, wireEntries('laptop', ENTRIES / 2), BATCH),
        startPusher(desktop, hub, wireEntries('desktop', ENTRIES / 2), BATCH),
      ];
      const acknowledged = (): number => pushers.reduce((sum, each) => sum + each.acknowledged.size, 0);

      // What a device pulls meanwhile: with numbers that repeat, its cursor would skip entries.
      const pulled: string[] = [];
      let cursor = 0;
      const pullPage = async (): Promise<number> => {
        const connection = await connectAgain(reader, hub);
        const request = { cursor, delete_cursor: 0, limit: 1_000 };
        const { entries, next_cursor: next } = await reader.pull(connection, request);
        await connection.close();
        pulled.push(...entries.map(({ entry_id }) => entry_id));
        cursor = next ?? cursor;
        return entries.length;
      };

      for (let kill = 1; kill <= KILLS; kill += 1) {
        // Some are killed before they answer a first push.
        const goal = ((kill - 1) * ENTRIES) / KILLS + (random() * 0.8 * ENTRIES) / KILLS;
        if (kill % 5 !== 0) await until(() => acknowledged() >= goal, `${goal} are acknowledged`, WAIT_MS);
        await pullPage();
        await pause(random() * MAX_PAUSE_MS);
        await hub.kill();
        await hub.start();
      }
      await Promise.all(pushers.map(async ({ finished }) => finished));
      while ((await pullPage()) > 0);
      expect(await hub.stop()).toBe(0);

      const { integrity, entries } = readHistory(hub.databasePath);
      expect(integrity).toBe('ok');
      expect(entries.size).toBe(ENTRIES);
      expect(pushers.flatMap((each) => [...each.acknowledged]).filter((id) => !entries.has(id))).toEqual([]);
      expect(acknowledged()).toBe(ENTRIES);
      expect(pulled).toHaveLength(ENTRIES);
      expect(new Set(pulled).size).toBe(ENTRIES);
      // The kills did interrupt pushes.
      expect(pushers.reduce((sum, { repeated }) => sum + repeated, 0)).toBeGreaterThan(0);
    },
    TEST_TIMEOUT_MS,
  );

  (HAS_DISK_IMAGES ? test : test.skip)(
    'has everything that it acknowledged when the power fails immediately after the answer',
    async () => {
      const network = await startNetwork();
      const disk = await mountDiskImage(join(network.directory, 'disk'), IMAGE_BYTES);
      const hub = await startHub(network, { disk });
      const laptop = await startMember(network, 'laptop');
      const connection = await connectAgain(laptop, hub);
      for (let push = 0; push < 3; push += 1) {
        const request = {
          entries: wireEntries('laptop', 200, { first: push * 200 }),
          deletions: [wireDeletion('laptop', push)],
        };
        expect(await laptop.push(connection, request)).toMatchObject({ ok: true });
        const notSynced = `not-synced-${push}`;
        disk.exec('sh', '-c', `echo written > ${join(disk.folder, notSynced)}`);
        const copy = join(network.directory, `copy-${push}`);
        disk.copyAfterPowerFailure(copy);
        expect(existsSync(join(copy, notSynced))).toBe(false);
        const { integrity, entries, deletions } = readHistory(join(copy, 'hub.db'));
        expect(integrity).toBe('ok');
        for (const { entry_id } of request.entries.slice(push + 1)) expect(entries.has(entry_id)).toBe(true);
        expect(deletions.size).toBe(push + 1);
      }
    },
    TEST_TIMEOUT_MS,
  );
});
