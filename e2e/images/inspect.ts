// Checks the metadata, the size and the files of an image without running it.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import manifest from '../../package.json' with { type: 'json' };
import type { Checks } from '../../testing/checks.ts';
import { run } from '../../testing/command.ts';
import { buildForeign, type Image } from './build.ts';
import { USER } from './container.ts';

const MAX_ADDED_BYTES = 80e6;
const LABELS = ['title', 'description', 'source', 'documentation', 'licenses', 'version', 'revision'];
const BUNDLES: Record<string, string[]> = {
  tracker: ['peer.js', 'tracker.js'],
  relay: ['relay.js'],
  hub: ['peer.js'],
};
const COMMON_FILES = [
  'node_modules/sodium-native.LICENSE',
  'node_modules/sodium-native.node',
  'package.json',
];

/** Values of the field `e_machine` of an ELF header, and the offset of the field. */
const ELF_MACHINES = { amd64: 62, arm64: 183 };
const ELF_MACHINE_OFFSET = 18;

interface Inspected {
  readonly Architecture: string;
  readonly Healthcheck?: unknown;
  readonly Config: {
    readonly User: string;
    readonly Entrypoint: string[];
    readonly Labels: Record<string, string>;
    readonly ExposedPorts: Record<string, unknown>;
  };
}

export async function checkImage(checks: Checks, { service, name, addedBytes }: Image): Promise<void> {
  await checks.check(`the ${service} image adds less than 80 MB to its base`, () => {
    if (addedBytes >= MAX_ADDED_BYTES) throw new Error(`The image adds ${addedBytes} bytes.`);
    return `${(addedBytes / 1e6).toFixed(1)} MB`;
  });
  await checks.check(
    `the ${service} image declares its user, entry point and labels, and no health check`,
    async () => {
      const [image] = JSON.parse(await run('podman', ['image', 'inspect', name])) as Inspected[];
      const { User, Entrypoint, Labels } = image?.Config ?? {};
      expectEqual(User, USER);
      expectEqual(Entrypoint, ['node', `/app/${service}.js`]);
      expectEqual(image?.Healthcheck, undefined);
      for (const label of LABELS)
        if (!Labels?.[`org.opencontainers.image.${label}`])
          throw new Error(`The image has no label ${label}.`);
      expectEqual(Labels?.['org.opencontainers.image.version'], manifest.version);
    },
  );
  await checks.check(
    `the ${service} image contains its bundles and the native cipher, and nothing else`,
    async () => {
      const files = await withMounted(name, async (root) =>
        run('find', ['.', '-type', 'f', '-printf', '%P\n'], { cwd: join(root, 'app') }),
      );
      expectEqual(files.split('\n').toSorted(), [...COMMON_FILES, ...(BUNDLES[service] ?? [])].toSorted());
    },
  );
}

/** Checks the image for the other platform, which this machine can build but not run. */
export async function checkForeignPlatform(checks: Checks): Promise<void> {
  const foreign = process.arch === 'arm64' ? 'amd64' : 'arm64';
  await checks.check(`the image for ${foreign} contains the native cipher for ${foreign}`, async () => {
    const name = await buildForeign('relay', foreign);
    const [image] = JSON.parse(await run('podman', ['image', 'inspect', name])) as Inspected[];
    expectEqual(image?.Architecture, foreign);
    await withMounted(name, async (root) => {
      const addon = await readFile(join(root, 'app/node_modules/sodium-native.node'));
      expectEqual(addon.readUInt16LE(ELF_MACHINE_OFFSET), ELF_MACHINES[foreign]);
    });
  });
}

async function withMounted<T>(image: string, inspect: (root: string) => Promise<T>): Promise<T> {
  const root = await run('podman', ['image', 'mount', image]);
  try {
    return await inspect(root);
  } finally {
    await run('podman', ['image', 'unmount', image]);
  }
}

function expectEqual(actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected))
    throw new Error(`Expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}.`);
}
