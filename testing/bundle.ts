// Provides the bundles of `npm run build` to tests that run them.
import { execFileSync } from 'node:child_process';
import { existsSync, globSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { ServiceName } from '../scripts/processes.ts';
import { makeTestDirectory } from './network.ts';

const ROOT = join(import.meta.dirname, '..');

/** Files that a bundle is built from, in addition to the packages. */
const SOURCES = ['services/**/*.ts', 'package.json', 'package-lock.json', 'scripts/build.ts'];

/**
 * The path of a bundle of the current sources: the file in `dist` if it is up to date, otherwise a new build for
 * this test. `dist` itself is not written, because other tests may be reading it.
 */
export function currentBundle(service: ServiceName): string {
  const built = join(ROOT, 'dist', `${service}.js`);
  return isUpToDate(built) ? built : join(buildElsewhere(), `${service}.js`);
}

function isUpToDate(bundle: string): boolean {
  if (!existsSync(bundle)) return false;
  const builtMs = statSync(bundle).mtimeMs;
  const sources = globSync(SOURCES, { cwd: ROOT, exclude: ['**/*.test.ts'] });
  return sources.every((source) => statSync(join(ROOT, source)).mtimeMs < builtMs);
}

/** Builds in a temporary directory, because the build writes to `dist` of its working directory. */
function buildElsewhere(): string {
  const directory = makeTestDirectory();
  for (const name of ['services', 'node_modules']) symlinkSync(join(ROOT, name), join(directory, name));
  execFileSync(process.execPath, [join(ROOT, 'scripts/build.ts')], { cwd: directory });
  return join(directory, 'dist');
}
