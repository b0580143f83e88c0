// Bundles each service into one file: `npm run build` writes dist/tracker.js, dist/relay.js and dist/peer.js.
import { rm, stat } from 'node:fs/promises';
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

await rm('dist', { recursive: true, force: true });
await build({
  entryPoints: Object.fromEntries(SERVICES.map((name) => [name, `services/${name}/main.ts`])),
  outdir: 'dist',
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node22',
  banner: { js: BANNER },
  // A native addon cannot be bundled: it rides beside the bundle, and without it the fallback cipher is used.
  external: ['sodium-native'],
  minifySyntax: true,
  legalComments: 'linked',
  sourcemap: 'linked',
  logLevel: 'warning',
});

for (const name of SERVICES) {
  const { size } = await stat(`dist/${name}.js`);
  process.stdout.write(`dist/${name}.js  ${(size / 1024 / 1024).toFixed(1)} MiB\n`);
}
