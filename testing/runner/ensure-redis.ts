// The Redis programs that the tests start. Installed from the package index when the tests run as root on Debian.
import { spawnSync } from 'node:child_process';
import { runCommand } from './commands.ts';

const PROGRAMS = ['redis-server', 'redis-sentinel', 'redis-cli'];
const PACKAGES = ['redis-server', 'redis-sentinel', 'redis-tools'];

const INSTALL_TIMEOUT_MS = 10 * 60 * 1000;

/** @throws Error that says what to install when a program is missing and cannot be installed. */
export async function ensureRedis(): Promise<void> {
  const missing = PROGRAMS.filter((program) => !isInstalled(program));
  if (missing.length === 0) return;
  // A fresh container knows no packages until the index is updated.
  if (process.getuid?.() === 0 && isInstalled('apt-get'))
    if ((await install()) || ((await aptGet('update')) && (await install()))) return;
  throw new Error(
    `${missing.join(', ')} not found. Install Redis (Debian: apt-get install ${PACKAGES.join(' ')}; ` +
      'macOS: brew install redis).',
  );
}

async function install(): Promise<boolean> {
  return aptGet('install', '--yes', '--no-install-recommends', ...PACKAGES);
}

async function aptGet(...args: string[]): Promise<boolean> {
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  return (await runCommand('apt-get', args, { env, timeoutMs: INSTALL_TIMEOUT_MS })) === 0;
}

function isInstalled(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined;
}
