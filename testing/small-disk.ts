// Small disks of their own, each in a mount namespace that ends with its process: one that fills up, and one whose content
// after a power failure can be read. Linux only.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { onCleanup } from './cleanup.ts';

const IS_ROOT = process.getuid?.() === 0;

/** Enters a new mount namespace, with a user namespace unless the user is root. */
const UNSHARE = ['unshare', '--mount', ...(IS_ROOT ? [] : ['--map-root-user'])];
const ENTER = ['--mount', ...(IS_ROOT ? [] : ['--user', '--preserve-credentials'])];

/** Whether this machine allows a test to mount a disk in memory. */
export const HAS_SMALL_DISKS =
  spawnSync(UNSHARE[0] ?? '', [...UNSHARE.slice(1), 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], {
    stdio: 'ignore',
  }).status === 0;

/** Whether this machine allows a test to mount the image of a disk. */
export const HAS_DISK_IMAGES =
  HAS_SMALL_DISKS && IS_ROOT && ['losetup -f', 'mkfs.ext4 -V'].every((command) => succeeds(command));

export interface SmallDisk {
  readonly folder: string;
  /** The command prefix that runs a program where the disk is mounted. */
  readonly under: readonly string[];
  /** Runs a program in the mount namespace of the disk. Returns its output. */
  exec(program: string, ...args: string[]): string;
}

export interface DiskImage extends SmallDisk {
  /**
   * Copies the files of the disk as they would be found if the power failed now: all that was synced, and nothing that is
   * only in the memory of the kernel.
   *
   * @param target a directory that does not exist
   */
  copyAfterPowerFailure(target: string): void;
}

/** Mounts a disk in memory. @param size such as `3m` */
export async function mountSmallDisk(folder: string, size: string): Promise<SmallDisk> {
  mkdirSync(folder);
  return mount(folder, ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder]);
}

/** Mounts a disk with a file system that writes to its image only what a program syncs, for five minutes. */
export async function mountDiskImage(folder: string, bytes: number): Promise<DiskImage> {
  const image = `${folder}.image`;
  writeFileSync(image, '');
  truncateSync(image, bytes);
  execFileSync('mkfs.ext4', ['-q', image]);
  mkdirSync(folder);
  const disk = await mount(folder, ['-o', 'loop,commit=300', image, folder]);
  return {
    ...disk,
    copyAfterPowerFailure(target) {
      const copy = `${target}.image`;
      copyFileSync(image, copy);
      mkdirSync(target);
      mkdirSync(`${target}.mount`);
      const script = 'mount -o loop "$1" "$2.mount" && cp -r "$2.mount/." "$2/"';
      execFileSync(UNSHARE[0] ?? '', [...UNSHARE.slice(1), 'sh', '-c', script, 'sh', copy, target]);
    },
  };
}

async function mount(folder: string, args: readonly string[]): Promise<SmallDisk> {
  const script = 'mount "$@" && echo mounted && exec sleep 3600';
  const [program = '', ...rest] = [...UNSHARE, 'sh', '-c', script, 'sh', ...args];
  const holder = spawn(program, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  onCleanup(async () => {
    holder.kill('SIGKILL');
    await once(holder, 'close');
  });
  await once(holder.stdout, 'data');
  const enter = ['--target', String(holder.pid), ...ENTER];
  return {
    folder,
    under: ['nsenter', ...enter],
    exec: (command, ...options) =>
      execFileSync('nsenter', [...enter, command, ...options], { encoding: 'utf8' }),
  };
}

function succeeds(command: string): boolean {
  const [program = '', ...args] = command.split(' ');
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0;
}
