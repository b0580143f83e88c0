// Builds the images that the charts use and loads them into the nodes of the cluster.
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import manifest from '../../package.json' with { type: 'json' };
import { run } from '../../testing/command.ts';
import { BASE, isAvailable } from '../images/base.ts';
import { buildImages } from '../images/build.ts';

const UMBRELLA = join(import.meta.dirname, '../../charts/rustory-p2p');
const TIMEOUT_MS = 5 * 60_000;

/** The name of the Redis image of the umbrella chart. */
export function redisImage(): string {
  const values = parse(readFileSync(join(UMBRELLA, 'values.yaml'), 'utf8')) as {
    redis: { image: { repository: string; tag: string } };
  };
  return `${values.redis.image.repository}:${values.redis.image.tag}`;
}

/** Builds all images under the names that the charts use. */
export async function buildAll(report: (text: string) => void): Promise<string[]> {
  const images = await buildImages(manifest.version, report);
  const redis = redisImage();
  if (!(await isAvailable(redis))) await buildRedis(redis, report);
  return [...images.map(({ name }) => name), redis];
}

async function buildRedis(name: string, report: (text: string) => void): Promise<void> {
  report(`${name} cannot be pulled; building a substitute from the Redis of Debian`);
  const options = ['--isolation', 'chroot', '--pull-never', '--build-arg', `BASE=${BASE}`];
  const target = [
    '--file',
    join(import.meta.dirname, 'redis.Dockerfile'),
    '--tag',
    name,
    import.meta.dirname,
  ];
  await run('buildah', ['build', ...options, ...target], { timeoutMs: TIMEOUT_MS });
}

/** Loads the images into the nodes: exports each image and runs the command with the path of the archive. */
export async function loadAll(images: readonly string[], command: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'rustory-load-'));
  try {
    for (const [index, image] of images.entries()) {
      const archive = join(folder, `${index}.tar`);
      await run('buildah', ['push', '--quiet', image, `docker-archive:${archive}:${image}`], {
        timeoutMs: TIMEOUT_MS,
      });
      await run('sh', ['-c', `${command} "$0"`, archive], { timeoutMs: TIMEOUT_MS });
      await rm(archive);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
