// Assembles `docs/benchmarks.md` from the definitions of all benchmarks and the results that are on the disk.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Benchmark, Column, Table } from './benchmark.ts';
import { BEFORE_COMMIT } from './before-commit.ts';
import { plotOf } from './plot.ts';
import { type BenchmarkResult, readResult, type RowResult } from './result.ts';
import { present, ratios, type Spread, spread } from './statistics.ts';
import { type Verdict, verdictsOf } from './verdict.ts';

const INTRODUCTION = `# Benchmarks

\`npm run bench\` runs all benchmarks and writes this page; \`npm run bench NAME\` runs one and replaces its section. \`npm run bench -- --list\` lists them.

- Each figure is the median of the rounds, with their minimum and maximum. A ratio is computed in each round; its median is shown.
- Each round starts fresh server processes and runs every row once, in an order that is shuffled with the seed. Nothing is pinned to a CPU. A warm-up round before finds the size of the load.
- A sample has at least 3 CPU-seconds of the server or 1,000 operations. A run with one wrong byte, refusal or wrong answer is void, and is repeated.
- Servers run as in their images: the bundle, its Node.js options, and the defaults of checks, metrics and logs. Limits that a benchmark raises are listed in its section.
- "Before" is commit ${BEFORE_COMMIT}, which is built from git and measured in the same rounds. CPU time is that of the server, from \`/proc\`; GB are 10⁹ bytes. "CPU of the load" is what clients used on the same machine.
`;

/** Writes the page, and the plots of the benchmarks that have results. */
export function writeReport(folder: string, benchmarks: readonly Benchmark[]): void {
  const sections = benchmarks.map((benchmark) => {
    const result = readResult(folder, benchmark.name);
    if (result !== undefined) writePlots(folder, benchmark, result);
    return sectionOf(benchmark, result);
  });
  writeFileSync(join(folder, 'benchmarks.md'), `${[INTRODUCTION, ...sections].join('\n').trimEnd()}\n`);
}

function plotName(benchmark: Benchmark, table: Table): string {
  return benchmark.tables.length === 1 ? benchmark.name : `${benchmark.name}-${table.key}`;
}

function writePlots(folder: string, benchmark: Benchmark, result: BenchmarkResult): void {
  for (const table of benchmark.tables) {
    const rows = rowsOf(table, result);
    const path = join(folder, 'benchmarks', `${plotName(benchmark, table)}.svg`);
    if (rows.length > 0) writeFileSync(path, plotOf(table, rows));
  }
}

function rowsOf(table: Table, result: BenchmarkResult): readonly RowResult[] {
  return result.tables.find(({ key }) => key === table.key)?.rows ?? [];
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

function tableOf(benchmark: Benchmark, table: Table, result: BenchmarkResult): string[] {
  const rows = rowsOf(table, result);
  const title = benchmark.tables.length === 1 ? [] : [`### ${table.title}`, ''];
  if (rows.length === 0) return [...title, 'Not measured.', ''];
  const headers = table.columns.flatMap((column) => [
    withUnit(column.title, column.unit),
    ...(column.against === undefined ? [] : [`× ${titleOf(table, column.against)}`]),
  ]);
  const hasCases = rows.some((row) => row.case !== '');
  const names = [...(hasCases ? [''] : []), ' ', ...headers, 'CPU of the load, s'];
  const lines = rows.map((row) => [
    ...(hasCases ? [row.case] : []),
    row.title,
    ...(row.skipped === undefined ? figuresOf(table, row, rows) : headers.map(() => '–')),
    cell(spread(present(row.loadCpuSeconds)), 1),
  ]);
  const voids = rows.flatMap(voidLines);
  const skipped = rows.flatMap((row) =>
    row.skipped === undefined ? [] : [`- Skipped, ${nameOf(row)}: ${row.skipped}`],
  );
  const goals = verdictsOf(table, { key: table.key, rows }).map((verdict) => `- ${goalLine(table, verdict)}`);
  const lists = [...goals, ...skipped, ...voids];
  return [
    ...title,
    markdownRow(names),
    markdownRow(names.map(() => '---')),
    ...lines.map(markdownRow),
    '',
    ...(lists.length > 0 ? [...lists, ''] : []),
    `![${table.title}](benchmarks/${plotName(benchmark, table)}.svg)`,
    '',
  ];
}

function nameOf(row: RowResult): string {
  return row.case === '' ? row.title : `${row.case}, ${row.title}`;
}

/** The same reason once, with the number of runs. */
function voidLines(row: RowResult): string[] {
  const counts = new Map<string, number>();
  for (const reason of row.voids) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts].map(([reason, count]) => `- Void, ${count} × ${nameOf(row)}: ${reason}`);
}

function titleOf(table: Table, variant: string): string {
  return table.runs.find((run) => run.variant === variant)?.title ?? variant;
}

function withUnit(title: string, unit: string): string {
  return unit === '' ? title : `${title}, ${unit}`;
}

function markdownRow(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

function figuresOf(table: Table, row: RowResult, rows: readonly RowResult[]): string[] {
  return table.columns.flatMap((column) => {
    const values = row.values[column.key] ?? [];
    const figure = cell(spread(present(values)), column.digits ?? 2);
    if (column.against === undefined) return [figure];
    const other = rows.find(({ variant, case: name }) => name === row.case && variant === column.against);
    return [
      figure,
      row.variant === column.against ? '1' : cell(spread(ratios(values, other?.values[column.key] ?? [])), 2),
    ];
  });
}

function cell(figure: Spread | undefined, digits: number): string {
  if (figure === undefined) return '–';
  const text = (value: number): string => formatNumber(value, digits);
  if (figure.count === 1) return text(figure.median);
  return `${text(figure.median)} (${text(figure.min)}–${text(figure.max)})`;
}

/** With thousands separators, as in the other pages. */
export function formatNumber(value: number, digits: number): string {
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function goalLine(table: Table, { goal, case: name, figure, isReached }: Verdict): string {
  const column = table.columns.find(({ key }) => key === goal.column) as Column;
  const digits = goal.against === undefined ? (column.digits ?? 2) : 2;
  const limits = [
    ...(goal.atMost === undefined ? [] : [`at most ${formatLimit(goal.atMost)}`]),
    ...(goal.atLeast === undefined ? [] : [`at least ${formatLimit(goal.atLeast)}`]),
  ].join(' and ');
  const unit = goal.against === undefined ? ` ${column.unit}` : ` × ${titleOf(table, goal.against)}`;
  const subject = [name, titleOf(table, goal.variant), column.title].filter((part) => part !== '').join(', ');
  const measured =
    figure === undefined
      ? 'not measured'
      : `${formatNumber(figure.median, digits)}: ${isReached === true ? 'reached' : '**not reached**'}`;
  return `Goal: ${subject}, ${limits}${unit.trimEnd()}. ${measured[0]?.toUpperCase()}${measured.slice(1)}.${goal.note === undefined ? '' : ` ${goal.note}`}`;
}

function formatLimit(value: number): string {
  return value.toLocaleString('en-US');
}

function provenanceOf(result: BenchmarkResult): string[] {
  const { machine, startedAt, seconds, command, seed, rounds, invalid } = result;
  const rust =
    machine.rust === ''
      ? 'no cargo: rows of Rust programs are skipped'
      : `${machine.rust}, rust-libp2p ${machine.rustLibp2p}`;
  return [
    ...invalid.map((reason) => `**These figures are not valid.** ${reason}\n`),
    `\`${command}\`, seed ${seed}, ${rounds} rounds, ${seconds} s on ${startedAt.slice(0, 10)}. ` +
      `${machine.processor}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}, load average ${machine.loadBefore} before the start. ` +
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
