// Prometheus' own judge of rules, for the tests of the alerts. Where it is not installed it is taken out of Debian's
// package, once, into a cache folder: an install would bring a server that starts and listens.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const FOLDER = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'rustory-p2p');
const CACHED = join(FOLDER, 'promtool');

/** How long the download may take, in milliseconds; the package has 19 MB. */
const DOWNLOAD_TIMEOUT_MS = 180_000;

/** The program to run. @throws Error that says what to install where it cannot be had */
export function ensurePromtool(): string {
  if (existsSync(CACHED)) return CACHED;
  if (spawnSync('promtool', ['--version'], { stdio: 'ignore' }).error === undefined) return 'promtool';
  mkdirSync(FOLDER, { recursive: true });
  const unfinished = mkdtempSync(join(FOLDER, 'promtool.'));
  try {
    // A fresh machine may know no packages yet.
    if (!run(unfinished, 'apt-get', 'download', 'prometheus')) {
      run(unfinished, 'apt-get', 'update');
      if (!run(unfinished, 'apt-get', 'download', 'prometheus')) throw new Error();
    }
    const [archive = ''] = readdirSync(unfinished);
    if (!run(unfinished, 'dpkg-deb', '--extract', archive, '.')) throw new Error();
    renameSync(join(unfinished, 'usr/bin/promtool'), CACHED);
    return CACHED;
  } catch {
    throw new Error(
      'promtool not found: install it (Debian: apt-get install prometheus; macOS: brew install prometheus)',
    );
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}

function run(cwd: string, program: string, ...args: string[]): boolean {
  return spawnSync(program, args, { cwd, timeout: DOWNLOAD_TIMEOUT_MS, stdio: 'ignore' }).status === 0;
}
