// promtool of Prometheus, for the tests of the alerts. When it is not installed, it is extracted once from the Debian
// package to a cache directory: installing the package would start a server.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const FOLDER = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'rustory-p2p');
const CACHED = join(FOLDER, 'promtool');

/** Deadline of the download in milliseconds. The package has 19 MB. */
const DOWNLOAD_TIMEOUT_MS = 180_000;

/** The program to run. @throws Error when promtool is neither installed nor downloadable. */
export function ensurePromtool(): string {
  if (existsSync(CACHED)) return CACHED;
  if (spawnSync('promtool', ['--version'], { stdio: 'ignore' }).error === undefined) return 'promtool';
  mkdirSync(FOLDER, { recursive: true });
  const unfinished = mkdtempSync(join(FOLDER, 'promtool.'));
  try {
    // A new machine may have no package lists.
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
      'promtool was not found. Install it (Debian: apt-get install prometheus; macOS: brew install prometheus).',
    );
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}

function run(cwd: string, program: string, ...args: string[]): boolean {
  return spawnSync(program, args, { cwd, timeout: DOWNLOAD_TIMEOUT_MS, stdio: 'ignore' }).status === 0;
}
