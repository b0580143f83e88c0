// promtool of Prometheus, for the tests of the alerts. If it is not installed, it is extracted once from the Debian
// package to a cache directory: installing the package would start a server.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { attempt, run } from './command.ts';

const FOLDER = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'rustory-p2p');
const CACHED = join(FOLDER, 'promtool');

/** Deadline of the download in milliseconds. The package has 19 MB. */
const DOWNLOAD_TIMEOUT_MS = 180_000;

/** The program to run. @throws Error when promtool is neither installed nor downloadable. */
export async function ensurePromtool(): Promise<string> {
  if (existsSync(CACHED)) return CACHED;
  if ((await attempt('promtool', ['--version'])).code === 0) return 'promtool';
  mkdirSync(FOLDER, { recursive: true });
  const unfinished = mkdtempSync(join(FOLDER, 'promtool.'));
  const options = { cwd: unfinished, timeoutMs: DOWNLOAD_TIMEOUT_MS };
  try {
    // The package lists may be missing on a new machine.
    if ((await attempt('apt-get', ['download', 'prometheus'], options)).code !== 0) {
      await attempt('apt-get', ['update'], options);
      await run('apt-get', ['download', 'prometheus'], options);
    }
    const [archive = ''] = readdirSync(unfinished);
    await run('dpkg-deb', ['--extract', archive, '.'], options);
    renameSync(join(unfinished, 'usr/bin/promtool'), CACHED);
    return CACHED;
  } catch (cause) {
    throw new Error(
      'promtool was not found. Install it (Debian: apt-get install prometheus; macOS: brew install prometheus).',
      { cause },
    );
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}
