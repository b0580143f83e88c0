// `npm run bench`: runs benchmarks and writes docs/benchmarks.md. `--help` lists the options.
import { mkdirSync } from 'node:fs';
import { BENCHMARKS } from './benchmarks.ts';
import { describeMachine, otherCores } from './machine.ts';
import { runBenchmark } from './method.ts';
import { HELP, readOptions } from './options.ts';
import { summaryOf, writeReport } from './report.ts';
import { writeResult } from './result.ts';
import { closeOpenRuns } from './run-scope.ts';

const progress = (text: string): void => void process.stderr.write(`${text}\n`);
const print = (text: string): void => void process.stdout.write(`${text}\n`);

async function main(args: readonly string[]): Promise<void> {
  const options = readOptions(args);
  if (options.action === 'help') return print(HELP);
  if (options.action === 'list')
    return print(BENCHMARKS.map(({ name, title }) => `${name}  ${title}`).join('\n'));
  const unknown = options.names.filter((name) => BENCHMARKS.every((benchmark) => benchmark.name !== name));
  if (unknown.length > 0)
    throw new TypeError(`There is no benchmark "${unknown.join('", "')}"; --list lists them.`);
  const chosen = BENCHMARKS.filter(({ name }) => options.names.length === 0 || options.names.includes(name));
  mkdirSync(options.output, { recursive: true });
  progress(`seed ${options.seed}`);
  for (const benchmark of chosen) {
    const result = await runBenchmark(benchmark, { ...options, describeMachine, otherCores, progress });
    writeResult(options.output, result);
    writeReport(options.output, BENCHMARKS);
    print(`${summaryOf(benchmark, result)}\n`);
  }
  progress(`written: ${options.output}/benchmarks.md`);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void closeOpenRuns().finally(() => process.exit(1)));

main(process.argv.slice(2)).catch((error: unknown) => {
  progress(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
});
