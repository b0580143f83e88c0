// The base image, and a substitute for it if no container registry can be reached: Debian from its mirror, Node and npm
// from the npm registry, and the CA certificates of this machine, so that `npm ci` works inside a build. Requires root.
import { chmod, cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attempt, run } from '../../testing/command.ts';

/** The base of every Dockerfile, under its fully qualified name. */
export const BASE = 'docker.io/library/node:26-slim';

const SUITE = 'bookworm';
const MIRROR = 'http://deb.debian.org/debian';
/** Node is linked against libatomic; npm requires CA certificates. */
const PACKAGES = 'ca-certificates,libatomic1';
const CA_CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';
/** Timeout of a pull, in milliseconds. If no registry can be reached, the pull fails earlier. */
const PULL_TIMEOUT_MS = 120_000;
/** Timeout of an installation, in milliseconds; generous, because mirrors may be slow. */
const INSTALL_TIMEOUT_MS = 10 * 60_000;

/** Whether an image exists locally. If not, it is pulled first. */
export async function isAvailable(image: string): Promise<boolean> {
  const isLocal = async (): Promise<boolean> =>
    (await attempt('buildah', ['inspect', '--type', 'image', image])).code === 0;
  if (await isLocal()) return true;
  await attempt('buildah', ['pull', '--quiet', image], { timeoutMs: PULL_TIMEOUT_MS });
  return isLocal();
}

/** Pulls the base image if it does not exist locally, or builds a substitute. */
export async function ensureBase(report: (text: string) => void): Promise<void> {
  if (await isAvailable(BASE)) return;
  report(`${BASE} cannot be pulled; building a substitute from Debian ${SUITE} and Node 26`);
  const folder = await mkdtemp(join(tmpdir(), 'rustory-base-'));
  try {
    const root = join(folder, 'root');
    const options = ['--variant=minbase', `--include=${PACKAGES}`, SUITE, root, MIRROR];
    await run('debootstrap', options, { timeoutMs: INSTALL_TIMEOUT_MS });
    await installNode(folder, join(root, 'usr/local'));
    await cp(CA_CERTIFICATES, join(root, CA_CERTIFICATES));
    const registry = await run('npm', ['config', 'get', 'registry']);
    await mkdir(join(root, 'usr/local/etc'), { recursive: true });
    await writeFile(join(root, 'usr/local/etc/npmrc'), `registry=${registry}\ncafile=${CA_CERTIFICATES}\n`);
    await rm(join(root, 'var/cache/apt'), { recursive: true, force: true });
    await importImage(root, BASE);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Makes the base image for a build for another platform: a manifest list with the real base for this platform and an
 * empty image for the other one.
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

/** The Debian packages of the tools. The `podman` package does not depend on a runtime. */
const TOOLS = ['buildah', 'podman', 'runc', 'netavark', 'catatonit', 'debootstrap'];

/** Installs the tools that build and run images. @throws Error with the command to run if that is not possible */
export async function ensureTools(report: (text: string) => void): Promise<void> {
  const needed = ['buildah', 'podman', 'runc', 'debootstrap'];
  const found = await Promise.all(needed.map(async (tool) => attempt(tool, ['--version'])));
  const missing = needed.filter((_, index) => found[index]?.code === 127);
  if (missing.length === 0) return;
  report(`installing ${TOOLS.join(', ')} with apt-get`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const options = { env, timeoutMs: INSTALL_TIMEOUT_MS };
  await attempt('apt-get', ['update'], options);
  const installed = await attempt(
    'apt-get',
    ['install', '--yes', '--no-install-recommends', ...TOOLS],
    options,
  );
  if (installed.code !== 0)
    throw new Error(
      `These tools are missing: ${missing.join(', ')}. On Debian, run apt-get install ${TOOLS.join(' ')}.`,
    );
}

/** Makes an image with the content of a folder. */
export async function importImage(root: string, name: string): Promise<void> {
  const container = await run('buildah', ['from', 'scratch']);
  try {
    await run('buildah', ['add', '--quiet', container, root, '/'], { timeoutMs: INSTALL_TIMEOUT_MS });
    const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
    await run('buildah', ['config', '--env', path, '--cmd', 'node', container]);
    await run('buildah', ['commit', '--quiet', container, name], { timeoutMs: INSTALL_TIMEOUT_MS });
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
