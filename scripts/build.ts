// Bundles each service into one file: `npm run build` writes dist/tracker.js, dist/relay.js and dist/peer.js, and
// copies the native addon of one platform, so that dist/ contains all files of an image.
// `node scripts/build.ts linux/arm64` builds for another platform, in the notation of image builds.
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { build } from 'esbuild';

const SERVICES = ['tracker', 'relay', 'peer'];

// The first lines of a bundle. Bundled CommonJS packages call `require`, which a module does not have. An older Node.js
// gets a message instead of a stack trace. `localeCompare` would load 2.5 MiB of collation data for it.
const BANNER = `import { createRequire as createRequireOfBundle } from 'node:module';
const require = createRequireOfBundle(import.meta.url);
const [majorOfNode, minorOfNode] = process.versions.node.split('.').map(Number);
if (majorOfNode < 22 || (majorOfNode === 22 && minorOfNode < 20)) {
  process.stderr.write('This program requires Node.js 22.20 or newer; this is ' + process.versions.node + '.\\n');
  process.exit(1);
}`;

/** Maximum length of most lines of a bundle, in characters. A stack trace names a line, and an error prints one. */
const MAX_LINE_LENGTH = 160;

/** A character that makes V8 store all characters of a bundle in two bytes instead of one. */
const BEYOND_LATIN_1 = /[^\0-\u00FF]/u;

/** Architectures that have different names in image builds and in npm. */
const NPM_ARCHITECTURES: Record<string, string> = { amd64: 'x64' };

/** The folder of the prebuilt addon for a platform such as `linux/amd64` or `linux/arm64/v8`. */
function prebuiltFolder(platform: string): string {
  const [system = '', architecture = ''] = platform.split('/');
  return `node_modules/sodium-native/prebuilds/${system}-${NPM_ARCHITECTURES[architecture] ?? architecture}`;
}

/**
 * Copies the addon to where `require('sodium-native')` finds it. The functions that are used require no JavaScript
 * wrapper.
 */
async function copyAddon(platform: string): Promise<void> {
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
  // A native addon cannot be bundled. It is copied next to the bundles; Without it they use the fallback cipher.
  external: ['sodium-native'],
  minifySyntax: true,
  // The text of the bundle stays in memory. Names are kept, and short lines, for stack traces.
  minifyWhitespace: true,
  lineLimit: MAX_LINE_LENGTH,
  legalComments: 'eof',
  sourcemap: 'linked',
  logLevel: 'warning',
});

// Without this file Node.js parses each bundle twice to detect that it is a module.
await writeFile('dist/package.json', '{ "type": "module" }\n');
await copyAddon(process.argv[2] || `${process.platform}/${process.arch}`);

for (const name of SERVICES) {
  const text = await readFile(`dist/${name}.js`, 'utf8');
  const found = BEYOND_LATIN_1.exec(text);
  if (found !== null)
    throw new Error(
      `dist/${name}.js contains ${JSON.stringify(found[0])}, so its text uses twice the memory. esbuild escapes it in code; ` +
        'keep the comment with it out of the bundle.',
    );
  process.stdout.write(`dist/${name}.js  ${(text.length / 1024 / 1024).toFixed(1)} MiB\n`);
}
