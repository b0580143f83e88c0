// `npm run e2e:images`: builds every Dockerfile as it is and talks to the images as a cluster would run them: read-only,
// as nobody, with no capability, in little memory. Needs buildah, podman and runc, and root.
import { chmod, chown, copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import manifest from '../../package.json' with { type: 'json' };
import { createChecks } from '../../testing/checks.ts';
import { createSwarmKeyFile } from '../../services/private-network/key.ts';
import { describeError } from '../../services/shared/errors.ts';
import { ensureTools } from './base.ts';
import { buildImages, type Image } from './build.ts';
import { checkForeignPlatform, checkImage } from './inspect.ts';
import { checkServices } from './services.ts';
import { createSandbox, USER } from './container.ts';

const SAMPLE = join(import.meta.dirname, '../../scripts/sample/bash_history');
const UID = Number(USER.split(':')[0]);

const checks = createChecks((text) => void process.stdout.write(text));

/** A folder that the containers' user may write to, with the keys that a grid needs. */
async function prepareFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rustory-images-'));
  await chmod(folder, 0o755);
  createSwarmKeyFile(join(folder, 'swarm.key'));
  await writeFile(join(folder, 'seed'), 'a seed of the tests, as long as it has to be');
  await writeFile(join(folder, 'tokens'), 'a-token-of-the-tests\n');
  await copyFile(SAMPLE, join(folder, 'history'));
  for (const device of ['a', 'b']) await mkdir(join(folder, device), { mode: 0o700 });
  for (const name of ['swarm.key', 'seed', 'tokens', 'a', 'b']) await chown(join(folder, name), UID, UID);
  return folder;
}

async function main(): Promise<void> {
  await ensureTools(checks.say);
  let images: Image[] = [];
  await checks.check('every Dockerfile builds', async () => {
    images = await buildImages(manifest.version, checks.say);
    return images.map(({ name }) => name).join(', ');
  });
  const [tracker, relay] = ['tracker', 'relay'].map((service) =>
    images.find((image) => image.service === service),
  );
  if (tracker === undefined || relay === undefined) return;
  for (const image of images) await checkImage(checks, image);
  await checkForeignPlatform(checks);

  const folder = await prepareFolder();
  const sandbox = await createSandbox(tracker.name);
  try {
    await checkServices(checks, sandbox, { tracker: tracker.name, relay: relay.name, folder });
  } finally {
    await sandbox.close();
    await rm(folder, { recursive: true, force: true });
  }
}

await checks.check('the run came to its end', async () => {
  try {
    await main();
  } catch (error) {
    throw new Error(describeError(error), { cause: error });
  }
});
process.exitCode = checks.finish();
