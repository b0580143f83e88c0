// The images that an install needs, built here and made known to the nodes.
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import manifest from '../../package.json' with { type: 'json' };
import { run } from '../../testing/command.ts';
import { BASE, isToBeHad } from '../images/base.ts';
import { buildImages } from '../images/build.ts';

const UMBRELLA = join(import.meta.dirname, '../../charts/rustory-p2p');
/** Exporting and loading an image takes some seconds. */
const PATIENCE_MS = 5 * 60_000;

/** The name of the Redis that the umbrella chart installs. */
export function redisImage(): string {
  const values = parse(readFileSync(join(UMBRELLA, 'values.yaml'), 'utf8')) as {
    redis: { image: { repository: string; tag: string } };
  };
  return `${values.redis.image.repository}:${values.redis.image.tag}`;
}

/** Builds all images; they are called as the charts call them. */
export async function buildAll(say: (text: string) => void): Promise<string[]> {
  const images = await buildImages(manifest.version, say);
  const redis = redisImage();
  if (!(await isToBeHad(redis))) await buildRedis(redis, say);
  return [...images.map(({ name }) => name), redis];
}

async function buildRedis(name: string, say: (text: string) => void): Promise<void> {
  say(`no ${name} to be had: building a stand-in from Debian's Redis`);
  const how = ['--isolation', 'chroot', '--pull-never', '--build-arg', `BASE=${BASE}`];
  const what = ['--file', join(import.meta.dirname, 'redis.Dockerfile'), '--tag', name, import.meta.dirname];
  await run('buildah', ['build', ...how, ...what], { patienceMs: PATIENCE_MS });
}

/** Makes the images known to the nodes: each is exported, and the command is run with the path of the archive. */
export async function loadAll(images: readonly string[], command: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'rustory-load-'));
  try {
    for (const [at, image] of images.entries()) {
      const archive = join(folder, `${at}.tar`);
      await run('buildah', ['push', '--quiet', image, `docker-archive:${archive}:${image}`], {
        patienceMs: PATIENCE_MS,
      });
      await run('sh', ['-c', `${command} "$0"`, archive], { patienceMs: PATIENCE_MS });
      await rm(archive);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
