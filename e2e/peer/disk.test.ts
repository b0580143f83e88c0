import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, type Device, type Grid, makeEntries, onCleanup, startGrid } from '../../testing/network.ts';

afterEach(cleanUp);

const MAIN = join(import.meta.dirname, '../../services/peer/main.ts');

/** A mount namespace of its own, as root or in a namespace of users; nothing of it is left when its process ends. */
const UNSHARE = ['--mount', ...(process.getuid?.() === 0 ? [] : ['--map-root-user'])];
const ENTER = ['--mount', ...(process.getuid?.() === 0 ? [] : ['--user', '--preserve-credentials'])];

/** Whether this machine lets us mount a disk of some MB. Where it does not, `store.test.ts` shows the same within SQLite. */
const canMount =
  spawnSync('unshare', [...UNSHARE, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' }).status ===
  0;

interface Disk {
  /** The database on it. */
  readonly path: string;
  /** Runs a command where the disk is mounted. */
  exec(program: string, ...args: string[]): string;
  /** Runs a command of the device with the database on the disk. */
  run(device: Device, ...args: string[]): { code: number | null; stdout: string; stderr: string };
}

async function mountDisk({ directory }: Grid, size: string): Promise<Disk> {
  const folder = join(directory, 'disk');
  mkdirSync(folder);
  const script = 'mount -t tmpfs -o size="$1" tmpfs "$2" && echo mounted && exec sleep 600';
  const holder = spawn('unshare', [...UNSHARE, 'sh', '-c', script, 'sh', size, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onCleanup(async () => {
    holder.kill('SIGKILL');
    await once(holder, 'close');
  });
  await once(holder.stdout, 'data');
  const enter = ['--target', String(holder.pid), ...ENTER];
  const path = join(folder, 'history.db');
  return {
    path,
    exec: (program, ...args) => execFileSync('nsenter', [...enter, program, ...args], { encoding: 'utf8' }),
    run({ env }, ...args) {
      const command = [...enter, process.execPath, MAIN, ...args, '--db-path', path];
      const { status, stdout, stderr } = spawnSync('nsenter', command, {
        env: { PATH: process.env['PATH'], ...env },
        encoding: 'utf8',
      });
      return { code: status, stdout, stderr };
    },
  };
}

const countOf = (disk: Disk, device: Device): number =>
  (JSON.parse(disk.run(device, 'sync-status', '--json').stdout) as { entries: number }).entries;

(canMount ? describe : describe.skip)('a database on a disk', () => {
  test('that fills up during a sync keeps what it has, says so, and the sync goes on when there is room', async () => {
    const grid = await startGrid();
    const [source, target] = [grid.device('source'), grid.device('target')];
    source.insert(makeEntries('source', 20_000));
    await source.serve();
    const disk = await mountDisk(grid, '3m');
    const full = disk.run(target, 'sync', '--limit', '500');
    expect(full).toMatchObject({
      code: 5,
      stderr: expect.stringContaining('the disk is full; nothing was lost'),
    });
    expect(full.stderr).toContain('make room');
    const kept = countOf(disk, target);
    expect(kept).toBeGreaterThan(0);
    expect(kept % 500).toBe(0);

    disk.exec('mount', '-o', 'remount,size=64m', join(grid.directory, 'disk'));
    const { code, stdout } = disk.run(target, 'sync', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ entries: 20_000 - kept, duplicates: 0, next_cursor: 20_000 });
    expect(JSON.parse(disk.run(target, 'doctor', '--json').stdout)).toMatchObject({
      findings: expect.arrayContaining([
        { subject: 'database', state: 'ok', detail: expect.stringContaining('20,000 entries') },
      ]),
    });
  }, 90_000);

  test('that is full says so for each command that writes, and a command that reads still works', async () => {
    const grid = await startGrid();
    const device = grid.device('laptop');
    const disk = await mountDisk(grid, '3m');
    expect(disk.run(device, 'record', '--cmd', 'first').code).toBe(0);
    const history = join(grid.directory, 'bash_history');
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
  }, 60_000);

  test('that is mounted read-only says so, and what is on it stays', async () => {
    const grid = await startGrid();
    const device = grid.device('laptop');
    const disk = await mountDisk(grid, '8m');
    disk.run(device, 'record', '--cmd', 'first');
    const folder = join(grid.directory, 'disk');
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
  }, 60_000);
});
