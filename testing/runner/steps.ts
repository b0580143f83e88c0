// The steps of a test run. Each runs its programs and counts what passed, failed and was skipped.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeError } from '../../services/shared/errors.ts';
import { filesOf, type GroupName } from '../groups.ts';
import { ensureHelm } from '../helm.ts';
import { ensurePromtool } from '../promtool.ts';
import { runCommand } from './commands.ts';
import { ensureRedis } from './ensure-redis.ts';

export interface StepResult {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly seconds: number;
}

const MINUTE_MS = 60_000;

const CHECKS = [
  { name: 'types', program: 'tsc', args: [] },
  { name: 'lint', program: 'oxlint', args: ['--type-aware'] },
  { name: 'format', program: 'oxfmt', args: ['--check'] },
  { name: 'bundles', program: process.execPath, args: ['scripts/build.ts'] },
] as const;

type CheckName = (typeof CHECKS)[number]['name'];

const CHECK_TIMEOUT_MS = 10 * MINUTE_MS;

/** Deadlines of whole groups. They end a run that hangs; each is several times what the group needs. */
const GROUP_TIMEOUT_MS: Readonly<Record<GroupName, number>> = {
  unit: 15 * MINUTE_MS,
  redis: 15 * MINUTE_MS,
  e2e: 20 * MINUTE_MS,
  slow: 45 * MINUTE_MS,
};

/** The first run also builds the programs in Rust and Go. */
const INTEROP_TIMEOUT_MS = 60 * MINUTE_MS;

/** Enough of the output of a program to hold its last line. */
const LAST_LINE_LENGTH = 200;

/** Runs checks side by side, and prints the output of each as it ends. */
export async function runChecks(names: readonly CheckName[]): Promise<StepResult[]> {
  return Promise.all(CHECKS.filter(({ name }) => names.includes(name)).map(runCheck));
}

async function runCheck({ name, program, args }: (typeof CHECKS)[number]): Promise<StepResult> {
  return timed(name, async () => {
    let output = '';
    const onOutput = (text: string): void => void (output += text);
    const code = await runCommand(program, args, { timeoutMs: CHECK_TIMEOUT_MS, onOutput });
    heading(`${name}: ${code === 0 ? 'passed' : `failed with exit code ${code}`}`);
    process.stdout.write(output);
    return code === 0 ? { passed: 1 } : { failed: 1 };
  });
}

/** Runs test files of one group, after what they need is installed. */
export async function runGroup(group: GroupName, files: readonly string[]): Promise<StepResult> {
  return timed(group, async () => {
    heading(`${group}: ${files.length} files`);
    try {
      await prepare(group);
    } catch (error) {
      process.stdout.write(`${describeError(error)}.\n`);
      return { failed: 1 };
    }
    return runJest(group, files);
  });
}

async function prepare(group: GroupName): Promise<void> {
  if (group !== 'unit') await ensureRedis();
  if (group === 'slow') {
    await ensureHelm();
    await ensurePromtool();
  }
}

async function runJest(group: GroupName, files: readonly string[]): Promise<Partial<StepResult>> {
  const folder = mkdtempSync(join(tmpdir(), 'rustory-test-'));
  const report = join(folder, 'report.json');
  // A whole group needs no paths: its Jest project selects the same files, and Jest would print every path.
  const isWhole = files.length === filesOf(group).length;
  const code = await runCommand(
    process.execPath,
    [
      'node_modules/jest/bin/jest.js',
      `--selectProjects=${group}`,
      `--maxWorkers=${workersFor(group)}`,
      '--json',
      `--outputFile=${report}`,
      ...(isWhole ? [] : ['--runTestsByPath', ...files]),
    ],
    {
      env: { NODE_OPTIONS: '--experimental-vm-modules --disable-warning=ExperimentalWarning' },
      timeoutMs: GROUP_TIMEOUT_MS[group],
    },
  );
  try {
    const results = JSON.parse(readFileSync(report, 'utf8')) as Record<string, number>;
    return {
      passed: results['numPassedTests'] ?? 0,
      skipped: results['numPendingTests'] ?? 0,
      // A file that cannot be loaded, or that leaks, has no failed tests. Jest itself may fail as well.
      failed: Math.max(
        results['numFailedTests'] ?? 0,
        results['numFailedTestSuites'] ?? 0,
        code === 0 ? 0 : 1,
      ),
    };
  } catch {
    process.stdout.write(`Jest ended with ${code ?? 'a signal'} and wrote no report.\n`);
    return { failed: 1 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Tests that start processes get half of the cores, because those processes need the other half. */
function workersFor(group: GroupName): number {
  const cores = availableParallelism();
  return group === 'unit' ? cores : Math.max(2, Math.floor(cores / 2));
}

/** Runs the interop matrix, which counts its cells on its last line. */
export async function runInterop(): Promise<StepResult> {
  return timed('interop', async () => {
    heading('interop');
    let last = '';
    const onOutput = (text: string): void => {
      process.stdout.write(text);
      last = `${last}${text}`.slice(-LAST_LINE_LENGTH);
    };
    const code = await runCommand(process.execPath, ['e2e/interop/run.ts'], {
      timeoutMs: INTEROP_TIMEOUT_MS,
      onOutput,
    });
    const [, passed = 0, failed = 0, skipped = 0] =
      /(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$/.exec(last)?.map((text) => Number(text ?? 0)) ?? [];
    // A matrix that fails without a failed cell is a failure, too.
    return { passed, failed: Math.max(failed, code === 0 ? 0 : 1), skipped };
  });
}

async function timed(
  name: string,
  run: () => Promise<Partial<Pick<StepResult, 'passed' | 'failed' | 'skipped'>>>,
): Promise<StepResult> {
  const startMs = performance.now();
  const counts = await run();
  return { name, passed: 0, failed: 0, skipped: 0, ...counts, seconds: (performance.now() - startMs) / 1000 };
}

function heading(text: string): void {
  process.stdout.write(`\n── ${text}\n`);
}
