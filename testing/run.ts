// `npm test`: the checks and the tests, with what they need. The last line counts what passed, failed and was skipped.
import { describeError } from '../services/shared/errors.ts';
import { killAllOnInterrupt } from './runner/commands.ts';
import { HELP, type Plan, planOf } from './runner/plan.ts';
import { runChecks, runGroup, runInterop, type StepResult } from './runner/steps.ts';

/** The exit code for wrong arguments. */
const USAGE_EXIT_CODE = 2;

async function run(plan: Plan): Promise<StepResult[]> {
  const results = await runChecks(plan.checks);
  for (const [group, files] of plan.files) results.push(await runGroup(group, files));
  if (plan.hasInterop) results.push(await runInterop());
  return results;
}

function row(name: string, ...cells: ReadonlyArray<number | string>): string {
  return `${name.padEnd(9)}${cells.map((cell) => String(cell).padStart(9)).join('')}\n`;
}

/** A table of the steps, the total time, and the line of counts that ends every run. */
function summarize(results: readonly StepResult[], seconds: number): string {
  const sum = (key: 'passed' | 'failed' | 'skipped'): number =>
    results.reduce((total, result) => total + result[key], 0);
  const rows = results.map((result) =>
    row(result.name, result.passed, result.failed, result.skipped, result.seconds.toFixed(1)),
  );
  const skipped = sum('skipped') > 0 ? `, ${sum('skipped')} skipped` : '';
  return `
${row('step', 'passed', 'failed', 'skipped', 'seconds')}${rows.join('')}
total: ${seconds.toFixed(1)} seconds
${sum('passed')} passed, ${sum('failed')} failed${skipped}
`;
}

// In all processes of a run, whoever keeps a reference to received bytes gets wrong ones.
process.env['RUSTORY_POISON_READS'] = 'true';

const args = process.argv.slice(2);
if (args.includes('--help') || args.includes('-h')) {
  process.stdout.write(HELP);
} else {
  try {
    const plan = planOf(args);
    killAllOnInterrupt();
    const startMs = performance.now();
    const results = await run(plan);
    process.stdout.write(summarize(results, (performance.now() - startMs) / 1000));
    process.exitCode = results.every(({ failed }) => failed === 0) ? 0 : 1;
  } catch (error) {
    process.stderr.write(`${describeError(error)}.\n`);
    process.exitCode = USAGE_EXIT_CODE;
  }
}
