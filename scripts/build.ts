// Bundles each service into one file: `npm run build` writes dist/tracker.js, dist/relay.js and dist/peer.js.
import { rm, stat } from 'node:fs/promises';
import { build } from 'esbuild';

const SERVICES = ['tracker', 'relay', 'peer'];

// Bundled CommonJS packages call `require`, which a module does not have.
const REQUIRE = `import { createRequire as createRequireOfBundle } from 'node:module';
const require = createRequireOfBundle(import.meta.url);`;

await rm('dist', { recursive: true, force: true });
await build({
  entryPoints: Object.fromEntries(SERVICES.map((name) => [name, `services/${name}/main.ts`])),
  outdir: 'dist',
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node22',
  banner: { js: REQUIRE },
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
