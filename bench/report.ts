// Assembles `docs/benchmarks.md` from the definitions of all benchmarks and the results that are on the disk.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Benchmark } from './benchmark.ts';
import { BEFORE_COMMIT } from './before-commit.ts';
import { plotOf } from './plot.ts';
import { markdownRow, plotName, rowsOf, tableOf, wordsOf } from './report-table.ts';
import { type BenchmarkResult, readResult } from './result.ts';
import { verdictsOf } from './verdict.ts';

const INTRODUCTION = `# Benchmarks

\`npm run bench\` runs all benchmarks and writes this page; \`npm run bench NAME\` runs one and replaces its section. \`npm run bench -- --list\` lists them.

- Each figure is the median of the rounds, with their minimum and maximum. A ratio is computed in each round; its median is shown.
- Each round starts fresh server processes and runs every row once, in an order that is shuffled with the seed. Nothing is pinned to a CPU. A warm-up round before finds the size of the load.
- A sample has at least 3 CPU-seconds of the server or 1,000 operations. A run with one wrong byte, refusal or wrong answer is void, and is repeated.
- Servers run as in their images: the bundle, its Node.js options, and the defaults of checks, metrics and logs. Limits that a benchmark raises are listed in its section.
- "Before" is commit ${BEFORE_COMMIT}, which is built from git and measured in the same rounds. CPU time is that of the server, from \`/proc\`; GB are 10⁹ bytes. "CPU of the load" is what clients used on the same machine.
- In a plot each dot is a round, the line goes from minimum to maximum, and the tick is the median.
`;

/** Writes the page, and the plots of the benchmarks that have results. */
export function writeReport(folder: string, benchmarks: readonly Benchmark[]): void {
  const sections = benchmarks.map((benchmark) => {
    const result = readResult(folder, benchmark.name);
    if (result !== undefined) writePlots(folder, benchmark, result);
    return sectionOf(benchmark, result);
  });
  const page = [INTRODUCTION, summaryOfGoals(folder, benchmarks), ...sections].join('\n');
  writeFileSync(join(folder, 'benchmarks.md'), `${page.trimEnd()}\n`);
}

/** The goals of all benchmarks in one table. */
function summaryOfGoals(folder: string, benchmarks: readonly Benchmark[]): string {
  const lines = benchmarks.flatMap((benchmark) => {
    const result = readResult(folder, benchmark.name);
    return benchmark.tables.flatMap((table) =>
      verdictsOf(table, { key: table.key, rows: result === undefined ? [] : rowsOf(table, result) }).map(
        (verdict) => {
          const { subject, limit, figure, outcome } = wordsOf(table, verdict);
          const title = benchmark.tables.length === 1 ? benchmark.title : table.title;
          return markdownRow([title, subject, limit, figure, outcome]);
        },
      ),
    );
  });
  const head = [
    markdownRow(['', 'figure', 'goal', 'measured', '']),
    markdownRow(['---', '---', '---', '---', '---']),
  ];
  return ['## Goals', '', ...head, ...lines, ''].join('\n');
}

function writePlots(folder: string, benchmark: Benchmark, result: BenchmarkResult): void {
  for (const table of benchmark.tables) {
    const rows = rowsOf(table, result);
    const path = join(folder, 'benchmarks', `${plotName(benchmark, table)}.svg`);
    if (rows.length > 0) writeFileSync(path, plotOf(table, rows));
  }
}

/** The Markdown of one benchmark. */
export function sectionOf(benchmark: Benchmark, result: BenchmarkResult | undefined): string {
  const { title, about, raisedLimits, tables } = benchmark;
  const head = [`## ${title}`, '', about.trim(), ''];
  if (raisedLimits.length > 0) head.push(`Raised limits: ${raisedLimits.join('; ')}.`, '');
  if (result === undefined)
    return [...head, `Not measured yet: \`npm run bench ${benchmark.name}\`.`, ''].join('\n');
  return [
    ...head,
    ...tables.flatMap((table) => tableOf(benchmark, table, result)),
    ...provenanceOf(result),
  ].join('\n');
}

function provenanceOf(result: BenchmarkResult): string[] {
  const { machine, startedAt, seconds, command, seed, rounds, invalid, otherCores } = result;
  const rust =
    machine.rust === ''
      ? 'no cargo: rows of Rust programs are skipped'
      : `${machine.rust}, rust-libp2p ${machine.rustLibp2p}`;
  return [
    ...invalid.map((reason) => `**These figures are not valid.** ${reason}\n`),
    `\`${command}\`, seed ${seed}, ${rounds} rounds, ${seconds} s on ${startedAt.slice(0, 10)}. ` +
      `${machine.processor}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}, other programs used ${otherCores.toFixed(2)} cores. ` +
      `Commit ${machine.commit}, Node.js ${machine.node}, ${rust}.`,
    '',
  ];
}

/** The result as text for a terminal: the section without links. */
export function summaryOf(benchmark: Benchmark, result: BenchmarkResult): string {
  return sectionOf(benchmark, result)
    .split('\n')
    .filter((line) => !line.startsWith('![') && line !== '')
    .join('\n');
}
