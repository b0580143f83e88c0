// `npm test`: everything, with all its set-up. Ends with one line that counts what passed and failed.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureHelm } from './helm.ts';

const REDIS_PROGRAMS = ['redis-server', 'redis-sentinel', 'redis-cli'];
const REDIS_PACKAGES = ['redis-server', 'redis-sentinel', 'redis-tools'];

/** A test that leaves something running would hang for ever; the whole run takes some minutes. */
const JEST_TIMEOUT_MS = 20 * 60 * 1000;

/** The interop matrix takes some minutes, and some more to build what it runs for the first time. */
const INTEROP_TIMEOUT_MS = 60 * 60 * 1000;

/** The line with which a run ends is never longer. */
const LAST_LINE_LENGTH = 200;

interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

function say(text: string): void {
  process.stdout.write(`\n── ${text}\n`);
}

function isInstalled(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined;
}

/** Installs Redis where it may; the tests run against real servers. @throws with the one line that helps. */
async function ensureRedis(): Promise<void> {
  const missing = REDIS_PROGRAMS.filter((program) => !isInstalled(program));
  if (missing.length === 0) return;
  const advice = `${missing.join(', ')} not found: install Redis (Debian: apt-get install ${REDIS_PACKAGES.join(' ')}; macOS: brew install redis)`;
  if (process.getuid?.() !== 0 || !isInstalled('apt-get')) throw new Error(advice);
  say(`installing ${REDIS_PACKAGES.join(', ')} with apt-get`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const install = ['install', '--yes', '--no-install-recommends', ...REDIS_PACKAGES];
  if ((await run('apt-get', install, env)) === 0) return;
  // A fresh machine may know no packages yet.
  if ((await run('apt-get', ['update'], env)) !== 0 || (await run('apt-get', install, env)) !== 0)
    throw new Error(advice);
}

async function run(
  program: string,
  args: readonly string[],
  env = process.env,
  timeoutMs?: number,
): Promise<number> {
  const child = spawn(program, args, { stdio: 'inherit', env, timeout: timeoutMs, killSignal: 'SIGKILL' });
  return new Promise((resolve) => {
    child.once('error', () => resolve(127));
    child.once('close', (code) => resolve(code ?? 1));
  });
}

async function check(name: string, program: string, args: readonly string[], count: Count): Promise<void> {
  say(name);
  if ((await run(program, args)) === 0) count.passed += 1;
  else count.failed += 1;
}

async function runJest(count: Count, args: readonly string[]): Promise<void> {
  say('unit tests, tests against a real Redis, end-to-end tests on real processes');
  const folder = mkdtempSync(join(tmpdir(), 'rustory-test-'));
  const report = join(folder, 'report.json');
  const env = {
    ...process.env,
    NODE_OPTIONS: '--experimental-vm-modules --disable-warning=ExperimentalWarning',
  };
  // A failed test may leave a server behind, which must not keep the run from its end.
  const jest = ['node_modules/jest/bin/jest.js', '--forceExit', '--json', `--outputFile=${report}`, ...args];
  const code = await run(process.execPath, jest, env, JEST_TIMEOUT_MS);
  try {
    const results = JSON.parse(readFileSync(report, 'utf8')) as Record<string, number>;
    count.passed += results['numPassedTests'] ?? 0;
    count.skipped += results['numPendingTests'] ?? 0;
    // A file that could not even be loaded has no failed tests of its own.
    count.failed += Math.max(
      results['numFailedTests'] ?? 0,
      results['numFailedTestSuites'] ?? 0,
      code === 0 ? 0 : 1,
    );
  } catch {
    process.stdout.write(`jest ended with ${code} and left no report\n`);
    count.failed += 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs the interop matrix, which counts its own cells on its last line. */
async function runInterop(count: Count): Promise<void> {
  say('interop: our services with rust-libp2p, go-libp2p and js-libp2p');
  const child = spawn(process.execPath, ['e2e/interop/run.ts'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: INTEROP_TIMEOUT_MS,
  });
  let last = '';
  child.stdout.on('data', (chunk: Buffer) => {
    process.stdout.write(chunk);
    last = `${last}${chunk.toString('utf8')}`.slice(-LAST_LINE_LENGTH);
  });
  const code = await new Promise((resolve) => {
    child.once('error', () => resolve(1));
    child.once('close', resolve);
  });
  const [, passed = 0, failed = 0, skipped = 0] =
    /(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\n$/.exec(last)?.map((text) => Number(text ?? 0)) ?? [];
  count.passed += passed;
  // Without a count, or with one that does not tell of it, the failure is the run itself.
  count.failed += Math.max(failed, code === 0 ? 0 : 1);
  count.skipped += skipped;
}

const count: Count = { passed: 0, failed: 0, skipped: 0 };
const only = process.argv.slice(2);
try {
  await ensureRedis();
  ensureHelm();
  await check('types', 'tsc', [], count);
  await check('lint', 'oxlint', ['--type-aware'], count);
  await check('format', 'oxfmt', ['--check'], count);
  await check('bundles', process.execPath, ['scripts/build.ts'], count);
  await runJest(count, only);
  if (only.length === 0) await runInterop(count);
} catch (error) {
  process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`);
  count.failed += 1;
}
const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : '';
process.stdout.write(`\n${count.passed} passed, ${count.failed} failed${skipped}\n`);
process.exitCode = count.failed === 0 ? 0 : 1;
