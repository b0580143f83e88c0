// Builds the images from the Dockerfiles as they are, with buildah.
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../testing/command.ts';
import { BASE, ensureBase, ensureForeignBase } from './base.ts';

const ROOT = join(import.meta.dirname, '../..');
const REGISTRY = 'ghcr.io/rustory';

/** Installing the packages of a build from a slow registry is what takes long. */
const PATIENCE_MS = 15 * 60_000;

export interface Image {
  /** `tracker` or `relay`, as its Dockerfile is called. */
  readonly service: string;
  readonly name: string;
  /** Bytes on top of the base image. */
  readonly addedBytes: number;
}

/** The services that have a Dockerfile. */
export function imagesToBuild(): string[] {
  return globSync('Dockerfile.*', { cwd: ROOT })
    .map((file) => file.replace('Dockerfile.', ''))
    .toSorted();
}

/** Builds every Dockerfile; the images are called as the charts call them, with this tag. */
export async function buildImages(tag: string, say: (text: string) => void): Promise<Image[]> {
  await ensureBase(say);
  const images: Image[] = [];
  for (const service of imagesToBuild()) {
    say(`building Dockerfile.${service}`);
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
 * Builds the image of another platform. Nothing of it runs: the build stage is on this machine's platform, and the last
 * stage only copies, so that an empty image will do as its base.
 */
export async function buildForeign(service: string, architecture: string): Promise<string> {
  const name = imageName(service, architecture);
  const base = await ensureForeignBase(architecture);
  // Newer builders know their own platform by themselves.
  const own = `BUILDPLATFORM=linux/${process.arch === 'x64' ? 'amd64' : process.arch}`;
  const args = ['--build-arg', own, '--build-arg', `BASE=${base}`];
  await buildah(service, name, ['--platform', `linux/${architecture}`, ...args]);
  return name;
}

function imageName(service: string, tag: string): string {
  return `${REGISTRY}/rustory-p2p-${service}:${tag}`;
}

async function buildah(service: string, name: string, args: readonly string[]): Promise<void> {
  // Only this way of isolation works where containers may not nest; the network is the builder's.
  const how = ['--isolation', 'chroot', '--pull-never', '--layers', '--file', `Dockerfile.${service}`];
  await run('buildah', ['build', ...how, '--build-arg', `BASE=${BASE}`, ...args, '--tag', name, '.'], {
    cwd: ROOT,
    patienceMs: PATIENCE_MS,
  });
}

async function bytesOf(image: string): Promise<number> {
  return Number(await run('podman', ['image', 'inspect', '--format', '{{.Size}}', image]));
}
