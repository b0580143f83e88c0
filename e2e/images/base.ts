// A stand-in for the base image where no container registry can be reached: Debian from its mirror, Node and npm from
// npm, and this machine's authorities, so that `npm ci` works inside a build. It needs root.
import { chmod, cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attempt, run } from '../../testing/command.ts';

/** The base of every Dockerfile, under the name that a build resolves it to. */
export const BASE = 'docker.io/library/node:26-slim';

const SUITE = 'bookworm';
const MIRROR = 'http://deb.debian.org/debian';
/** Node is linked against libatomic; npm speaks HTTPS. */
const PACKAGES = 'ca-certificates,libatomic1';
const AUTHORITIES = '/etc/ssl/certs/ca-certificates.crt';
/** Where a registry can be reached, an image is here within that time. */
const PULL_PATIENCE_MS = 120_000;
/** A mirror may be slow. */
const PATIENCE_MS = 10 * 60_000;

/** Whether an image is here; pulled when it was not and a registry can be reached. */
export async function isToBeHad(image: string): Promise<boolean> {
  const isHere = async (): Promise<boolean> =>
    (await attempt('buildah', ['inspect', '--type', 'image', image])).code === 0;
  if (await isHere()) return true;
  await attempt('buildah', ['pull', '--quiet', image], { patienceMs: PULL_PATIENCE_MS });
  return isHere();
}

/** Gets the base image where it is missing, or makes it. @param say told what is done, when something is */
export async function ensureBase(say: (text: string) => void): Promise<void> {
  if (await isToBeHad(BASE)) return;
  say(`no ${BASE} here: making a stand-in of Debian ${SUITE} and Node 26`);
  const folder = await mkdtemp(join(tmpdir(), 'rustory-base-'));
  try {
    const root = join(folder, 'root');
    const options = ['--variant=minbase', `--include=${PACKAGES}`, SUITE, root, MIRROR];
    await run('debootstrap', options, { patienceMs: PATIENCE_MS });
    await installNode(folder, join(root, 'usr/local'));
    await cp(AUTHORITIES, join(root, AUTHORITIES));
    const registry = await run('npm', ['config', 'get', 'registry']);
    await mkdir(join(root, 'usr/local/etc'), { recursive: true });
    await writeFile(join(root, 'usr/local/etc/npmrc'), `registry=${registry}\ncafile=${AUTHORITIES}\n`);
    await rm(join(root, 'var/cache/apt'), { recursive: true, force: true });
    await importImage(root, BASE);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * The base by which a build for another platform is tried: one name for both platforms, this machine's as it is and
 * the other one empty.
 */
export async function ensureForeignBase(architecture: string): Promise<string> {
  const name = 'localhost/rustory-base:platforms';
  await attempt('buildah', ['manifest', 'rm', name]);
  const empty = `localhost/rustory-base:${architecture}`;
  const container = await run('buildah', ['from', '--arch', architecture, 'scratch']);
  await run('buildah', ['config', '--arch', architecture, container]);
  await run('buildah', ['commit', '--quiet', '--rm', container, empty]);
  await run('buildah', [
    'manifest',
    'create',
    name,
    `containers-storage:${BASE}`,
    `containers-storage:${empty}`,
  ]);
  return name;
}

/** The Debian packages of the tools; `podman` brings no runtime of its own. */
const TOOLS = ['buildah', 'podman', 'runc', 'netavark', 'catatonit', 'debootstrap'];

/** Installs what builds and runs images, where it may. @throws with the line that helps */
export async function ensureTools(say: (text: string) => void): Promise<void> {
  const needed = ['buildah', 'podman', 'runc', 'debootstrap'];
  const found = await Promise.all(needed.map(async (tool) => attempt(tool, ['--version'])));
  const missing = needed.filter((_, at) => found[at]?.code === 127);
  if (missing.length === 0) return;
  say(`installing ${TOOLS.join(', ')} with apt-get`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const options = { env, patienceMs: PATIENCE_MS };
  await attempt('apt-get', ['update'], options);
  const installed = await attempt(
    'apt-get',
    ['install', '--yes', '--no-install-recommends', ...TOOLS],
    options,
  );
  if (installed.code !== 0)
    throw new Error(`${missing.join(', ')} not found; on Debian: apt-get install ${TOOLS.join(' ')}`);
}

/** Makes an image of a folder. */
export async function importImage(root: string, name: string): Promise<void> {
  const container = await run('buildah', ['from', 'scratch']);
  try {
    await run('buildah', ['add', '--quiet', container, root, '/'], { patienceMs: PATIENCE_MS });
    const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
    await run('buildah', ['config', '--env', path, '--cmd', 'node', container]);
    await run('buildah', ['commit', '--quiet', container, name], { patienceMs: PATIENCE_MS });
  } finally {
    await run('buildah', ['rm', container]);
  }
}

async function installNode(folder: string, target: string): Promise<void> {
  const pack = async (name: string): Promise<string> => {
    const file = await run('npm', ['pack', '--silent', name, '--pack-destination', folder]);
    const unpacked = join(folder, file.replace(/\.tgz$/, ''));
    await mkdir(unpacked);
    await run('tar', ['-xzf', join(folder, file), '-C', unpacked, '--strip-components=1', '--no-same-owner']);
    return unpacked;
  };
  await cp(join(await pack(`node-linux-${process.arch}@26`), 'bin/node'), join(target, 'bin/node'));
  await chmod(join(target, 'bin/node'), 0o755);
  await cp(await pack('npm@11'), join(target, 'lib/node_modules/npm'), { recursive: true });
  await symlink('../lib/node_modules/npm/bin/npm-cli.js', join(target, 'bin/npm'));
  await chmod(join(target, 'lib/node_modules/npm/bin/npm-cli.js'), 0o755);
}
