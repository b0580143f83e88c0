// Builds the images from the Dockerfiles with buildah.
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../testing/command.ts';
import { BASE, ensureBase, ensureForeignBase } from './base.ts';

const ROOT = join(import.meta.dirname, '../..');
const REGISTRY = 'ghcr.io/rustory';

/** Timeout of one build, in milliseconds. Most of it is `npm ci` with a slow registry. */
const BUILD_TIMEOUT_MS = 15 * 60_000;

export interface Image {
  /** The suffix of its Dockerfile: `tracker`, `relay` or `hub`. */
  readonly service: string;
  readonly name: string;
  /** Size without the base image, in bytes. */
  readonly addedBytes: number;
}

/** The services that have a Dockerfile. */
export function imagesToBuild(): string[] {
  return globSync('Dockerfile.*', { cwd: ROOT })
    .map((file) => file.replace('Dockerfile.', ''))
    .toSorted();
}

/** Builds every Dockerfile. The images have the names that the charts use, with this tag. */
export async function buildImages(tag: string, report: (text: string) => void): Promise<Image[]> {
  await ensureBase(report);
  const images: Image[] = [];
  for (const service of imagesToBuild()) {
    report(`building Dockerfile.${service}`);
    images.push(await buildImage(service, tag));
  }
  return images;
}

async function buildImage(service: string, tag: string): Promise<Image> {
  const name = imageName(service, tag);
  await buildah(service, name, ['--build-arg', `VERSION=${tag}`]);
  return { service, name, addedBytes: (await bytesOf(name)) - (await bytesOf(BASE)) };
}

/**
 * Builds the image for another platform. Its binaries never run: the build stage uses this machine's platform, and the
 * last stage only copies files, so its base can be an empty image.
 */
export async function buildForeign(service: string, architecture: string): Promise<string> {
  const name = imageName(service, architecture);
  const base = await ensureForeignBase(architecture);
  // Old versions of buildah do not set this argument.
  const buildPlatform = `BUILDPLATFORM=linux/${process.arch === 'x64' ? 'amd64' : process.arch}`;
  const args = ['--build-arg', buildPlatform, '--build-arg', `BASE=${base}`];
  await buildah(service, name, ['--platform', `linux/${architecture}`, ...args]);
  return name;
}

function imageName(service: string, tag: string): string {
  return `${REGISTRY}/rustory-p2p-${service}:${tag}`;
}

async function buildah(service: string, name: string, args: readonly string[]): Promise<void> {
  // Only this isolation works inside a container that cannot start others. The build uses the network of the host.
  const options = ['--isolation', 'chroot', '--pull-never', '--layers', '--file', `Dockerfile.${service}`];
  await run('buildah', ['build', ...options, '--build-arg', `BASE=${BASE}`, ...args, '--tag', name, '.'], {
    cwd: ROOT,
    timeoutMs: BUILD_TIMEOUT_MS,
  });
}

async function bytesOf(image: string): Promise<number> {
  return Number(await run('podman', ['image', 'inspect', '--format', '{{.Size}}', image]));
}
