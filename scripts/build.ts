// Bundles each service into one file: `npm run build` writes dist/tracker.js, dist/relay.js and dist/peer.js, and puts
// the native cipher of one platform beside them, so that dist/ holds all that an image needs.
// `node scripts/build.ts linux/arm64` takes another platform than this machine's, as image builds name it.
import { copyFile, mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { build } from 'esbuild';

const SERVICES = ['tracker', 'relay', 'peer'];

// What a bundle begins with. Bundled CommonJS packages call `require`, which a module does not have; and whoever runs it
// on an older Node is told so, not shown where that breaks.
const BANNER = `import { createRequire as createRequireOfBundle } from 'node:module';
const require = createRequireOfBundle(import.meta.url);
if (process.versions.node.localeCompare('22.16', 'en', { numeric: true }) < 0) {
  process.stderr.write('Node 22.16 or newer is needed, this is ' + process.versions.node + '\\n');
  process.exit(1);
}`;

/** Where image builds and npm call the same processor by different names. */
const NPM_ARCHITECTURES: Record<string, string> = { amd64: 'x64' };

/** The folder of the addon's prebuilt binaries for a platform such as `linux/amd64` or `linux/arm64/v8`. */
function prebuiltFolder(platform: string): string {
  const [system = '', architecture = ''] = platform.split('/');
  return `node_modules/sodium-native/prebuilds/${system}-${NPM_ARCHITECTURES[architecture] ?? architecture}`;
}

/** `require('sodium-native')` finds the binary by this name alone: all that we call is its own, nothing of its wrapper. */
async function placeAddon(platform: string): Promise<void> {
  await mkdir('dist/node_modules');
  await copyFile(`${prebuiltFolder(platform)}/sodium-native.node`, 'dist/node_modules/sodium-native.node');
  await copyFile('node_modules/sodium-native/LICENSE', 'dist/node_modules/sodium-native.LICENSE');
}

await rm('dist', { recursive: true, force: true });
await build({
  entryPoints: Object.fromEntries(SERVICES.map((name) => [name, `services/${name}/main.ts`])),
  outdir: 'dist',
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node22',
  banner: { js: BANNER },
  // A native addon cannot be bundled: it rides beside the bundles, and without it the fallback cipher is used.
  external: ['sodium-native'],
  minifySyntax: true,
  legalComments: 'eof',
  sourcemap: 'linked',
  logLevel: 'warning',
});

// Without it Node would read each bundle twice to find out that it is a module.
await writeFile('dist/package.json', '{ "type": "module" }\n');
await placeAddon(process.argv[2] || `${process.platform}/${process.arch}`);

for (const name of SERVICES) {
  const { size } = await stat(`dist/${name}.js`);
  process.stdout.write(`dist/${name}.js  ${(size / 1024 / 1024).toFixed(1)} MiB\n`);
}
