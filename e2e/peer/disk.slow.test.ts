import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp } from '../../testing/cleanup.ts';
import { type Device, makeEntries, startNetwork, type TestNetwork } from '../../testing/network.ts';
import { HAS_SMALL_DISKS, mountSmallDisk } from '../../testing/small-disk.ts';

afterEach(cleanUp);

const TEST_TIMEOUT_MS = 300_000;

const MAIN = join(import.meta.dirname, '../../services/peer/main.ts');

interface Disk {
  readonly folder: string;
  /** Runs a program in the mount namespace of the disk. */
  exec(program: string, ...args: string[]): string;
  /** Runs a command of the device with the database on the disk. */
  run(device: Device, ...args: string[]): { code: number | null; stdout: string; stderr: string };
}

async function mountDisk({ directory }: TestNetwork, size: string): Promise<Disk> {
  const disk = await mountSmallDisk(join(directory, 'disk'), size);
  const path = join(disk.folder, 'history.db');
  return {
    ...disk,
    run({ env }, ...args) {
      const command = [...disk.under, process.execPath, MAIN, ...args, '--db-path', path];
      const { status, stdout, stderr } = spawnSync(command[0] ?? '', command.slice(1), {
        env: { PATH: process.env['PATH'], ...env },
        encoding: 'utf8',
      });
      return { code: status, stdout, stderr };
    },
  };
}

const countOf = (disk: Disk, device: Device): number =>
  (JSON.parse(disk.run(device, 'sync-status', '--json').stdout) as { entries: number }).entries;

// Without a small disk, `store.test.ts` tests a full database.
(HAS_SMALL_DISKS ? describe : describe.skip)('a database on a disk', () => {
  test(
    'that fills up during a sync keeps the stored entries, and the sync continues when there is space',
    async () => {
      const network = await startNetwork();
      const [source, target] = [network.device('source'), network.device('target')];
      // With this clock its numbers start at 1.
      source.insert(makeEntries('source', 20_000), () => 0);
      await source.serve();
      const disk = await mountDisk(network, '3m');
      const full = disk.run(target, 'sync', '--limit', '500');
      expect(full).toMatchObject({
        code: 5,
        stderr: expect.stringContaining('the disk is full; nothing was lost'),
      });
      expect(full.stderr).toContain('Free some space');
      const kept = countOf(disk, target);
      expect(kept).toBeGreaterThan(0);
      expect(kept % 500).toBe(0);

      disk.exec('mount', '-o', 'remount,size=64m', join(network.directory, 'disk'));
      const { code, stdout } = disk.run(target, 'sync', '--json');
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({
        entries: 20_000 - kept,
        duplicates: 0,
        next_cursor: 20_000,
      });
      expect(JSON.parse(disk.run(target, 'doctor', '--json').stdout)).toMatchObject({
        findings: expect.arrayContaining([
          { subject: 'database', state: 'ok', detail: expect.stringContaining('20,000 entries') },
        ]),
      });
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'that is full fails each command that writes, and a command that reads still works',
    async () => {
      const network = await startNetwork();
      const device = network.device('laptop');
      const disk = await mountDisk(network, '3m');
      expect(disk.run(device, 'record', '--cmd', 'first').code).toBe(0);
      const history = join(network.directory, 'bash_history');
      writeFileSync(
        history,
        Array.from({ length: 50_000 }, (_, line) => `echo ${line} ${'x'.repeat(200)}\n`).join(''),
      );
      const { code, stderr } = disk.run(device, 'import', '--shell', 'bash', history);
      expect({ code, stderr }).toEqual({
        code: 5,
        stderr: expect.stringContaining('the disk is full; nothing was lost'),
      });
      expect(disk.run(device, 'entries').stdout).toContain('first');
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'that is mounted read-only fails each command that writes, and keeps its entries',
    async () => {
      const network = await startNetwork();
      const device = network.device('laptop');
      const disk = await mountDisk(network, '8m');
      disk.run(device, 'record', '--cmd', 'first');
      const folder = join(network.directory, 'disk');
      disk.exec('mount', '-o', 'remount,ro', folder);
      for (const command of [['record', '--cmd', 'second'], ['sync'], ['serve']]) {
        const { code, stderr } = disk.run(device, ...command);
        expect({ code, stderr }).toEqual({
          code: 5,
          stderr: expect.stringContaining('it is read-only; nothing was lost'),
        });
      }
      disk.exec('mount', '-o', 'remount,rw', folder);
      expect(countOf(disk, device)).toBe(1);
    },
    TEST_TIMEOUT_MS,
  );
});
