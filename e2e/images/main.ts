// `npm run e2e:images`: builds every Dockerfile and tests the images under the restrictions of a cluster: read-only root,
// unprivileged user, no capabilities, little memory. Requires buildah, podman, runc and root.
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

/** Makes a folder that the user of the containers can write to, with the secrets of a private network. */
async function prepareFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rustory-images-'));
  await chmod(folder, 0o755);
  createSwarmKeyFile(join(folder, 'swarm.key'));
  await writeFile(join(folder, 'seed'), 'a test seed that is long enough for the relay');
  await writeFile(join(folder, 'hub-secret'), 'another secret that is long enough for the hub');
  await writeFile(join(folder, 'tokens'), 'a-test-token\n');
  await copyFile(SAMPLE, join(folder, 'history'));
  for (const device of ['a', 'b', 'hub']) await mkdir(join(folder, device), { mode: 0o700 });
  for (const name of ['swarm.key', 'seed', 'hub-secret', 'tokens', 'a', 'b', 'hub'])
    await chown(join(folder, name), UID, UID);
  return folder;
}

async function main(): Promise<void> {
  await ensureTools(checks.report);
  let images: Image[] = [];
  await checks.check('every Dockerfile builds', async () => {
    images = await buildImages(manifest.version, checks.report);
    return images.map(({ name }) => name).join(', ');
  });
  const [tracker, relay, hub] = ['tracker', 'relay', 'hub'].map((service) =>
    images.find((image) => image.service === service),
  );
  if (tracker === undefined || relay === undefined || hub === undefined) return;
  for (const image of images) await checkImage(checks, image);
  await checkForeignPlatform(checks);

  const folder = await prepareFolder();
  const sandbox = await createSandbox(tracker.name);
  try {
    const names = { tracker: tracker.name, relay: relay.name, hub: hub.name };
    await checkServices(checks, sandbox, { ...names, folder });
  } finally {
    await sandbox.close();
    await rm(folder, { recursive: true, force: true });
  }
}

await checks.check('the run is complete', async () => {
  try {
    await main();
  } catch (error) {
    throw new Error(describeError(error), { cause: error });
  }
});
process.exitCode = checks.finish();
