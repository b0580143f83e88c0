// The bundles that are measured: those of this working tree, and those of the commit that "before" means.
import { execFile } from 'node:child_process';
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BEFORE_COMMIT } from './before-commit.ts';
import { ROOT } from './machine.ts';

const run = promisify(execFile);

/** Files that are built once and used by every later benchmark. */
export const CACHE = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'rustory-bench');

/** `ours` is this working tree. */
export type Build = 'ours' | 'before';

/** Deadline for `npm ci` and a build, in milliseconds. */
const BUILD_MS = 600_000;

const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/** The folder of a build that is ready, or why there cannot be one. */
export type Built =
  | { readonly ok: true; readonly folder: string }
  | { readonly ok: false; readonly reason: string };

const builds = new Map<Build, Promise<Built>>();

/**
 * Builds once for each process. The result for `before` is kept in the cache folder, and it is skipped when it cannot be
 * built. @throws Error when this tree cannot be built
 */
export async function buildOf(build: Build): Promise<Built> {
  const existing = builds.get(build);
  if (existing !== undefined) return existing;
  const started = build === 'ours' ? buildTree() : buildBefore().catch(failed);
  builds.set(build, started);
  return started;
}

/** The line of the output that names the error, which is rarely the last one. */
function failed(error: unknown): Built {
  const { stderr = '', message } = error as Error & { readonly stderr?: string };
  const line = stderr.split('\n').find((text) => /error/i.test(text)) ?? message;
  return { ok: false, reason: `The commit ${BEFORE_COMMIT} cannot be built: ${line.trim()}` };
}

/** For `Run.unavailable`. */
export async function unavailableBuild(build: Build): Promise<string | undefined> {
  const built = await buildOf(build);
  return built.ok ? undefined : built.reason;
}

/** The path of a bundle and its Node.js options in the image. @throws Error when it cannot be built */
export async function bundleOf(
  build: Build,
  service: 'relay' | 'tracker' | 'peer',
): Promise<{ readonly path: string; readonly nodeOptions: string }> {
  const built = await buildOf(build);
  if (!built.ok) throw new Error(built.reason);
  const image = service === 'peer' ? 'hub' : service;
  const dockerfile = join(built.folder, `Dockerfile.${image}`);
  const text = existsSync(dockerfile) ? readFileSync(dockerfile, 'utf8') : '';
  const nodeOptions = /^ENV NODE_OPTIONS="?(.*?)"?$/m.exec(text)?.[1] ?? '';
  return { path: join(built.folder, 'dist', `${service}.js`), nodeOptions };
}

/** Builds in a folder of its own, because the build writes to `dist` of its working directory, which others may read. */
async function buildTree(): Promise<Built> {
  const folder = mkdtempSync(join(tmpdir(), 'rustory-bench-build-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  for (const name of ['services', 'node_modules', ...globSync('Dockerfile.*', { cwd: ROOT })])
    symlinkSync(join(ROOT, name), join(folder, name));
  await run(process.execPath, [join(ROOT, 'scripts/build.ts')], { cwd: folder, timeout: BUILD_MS });
  return { ok: true, folder };
}

/** Takes the commit from git, so that the working tree stays as it is. */
async function buildBefore(): Promise<Built> {
  const folder = join(CACHE, `before-${BEFORE_COMMIT}`);
  if (existsSync(join(folder, 'dist/relay.js'))) return { ok: true, folder };
  if (!(await hasCommit()))
    return {
      ok: false,
      reason: `The commit ${BEFORE_COMMIT} is not in this clone; run "git fetch --unshallow".`,
    };
  const unfinished = `${folder}.${process.pid}.new`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  const options = { cwd: unfinished, timeout: BUILD_MS, maxBuffer: MAX_OUTPUT_BYTES };
  const archive = join(unfinished, 'source.tar');
  await run('git', ['archive', '--format=tar', '-o', archive, BEFORE_COMMIT], {
    cwd: ROOT,
    timeout: BUILD_MS,
  });
  await run('tar', ['-xf', archive], options);
  rmSync(archive);
  await run('npm', ['ci', '--no-audit', '--no-fund'], options);
  await run(process.execPath, ['scripts/build.ts'], options);
  // The cache contains only finished builds.
  renameSync(unfinished, folder);
  return { ok: true, folder };
}

async function hasCommit(): Promise<boolean> {
  try {
    await run('git', ['cat-file', '-e', `${BEFORE_COMMIT}^{commit}`], { cwd: ROOT });
    return true;
  } catch {
    return false;
  }
}
