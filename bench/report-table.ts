// The Markdown of one table of the report.
import type { Benchmark, Column, Table } from './benchmark.ts';
import type { BenchmarkResult, RowResult } from './result.ts';
import { present, ratios, type Spread, spread } from './statistics.ts';
import { type Verdict, verdictsOf } from './verdict.ts';

/** The name of the plot of a table, without the ending. */
export function plotName(benchmark: Benchmark, table: Table): string {
  return benchmark.tables.length === 1 ? benchmark.name : `${benchmark.name}-${table.key}`;
}

/** The rows of a table that a result has. */
export function rowsOf(table: Table, result: BenchmarkResult): readonly RowResult[] {
  return result.tables.find(({ key }) => key === table.key)?.rows ?? [];
}

/** A table with its goals, what was void or skipped, and its plot. */
export function tableOf(benchmark: Benchmark, table: Table, result: BenchmarkResult): string[] {
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

export function markdownRow(cells: readonly string[]): string {
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

interface GoalWords {
  readonly subject: string;
  readonly limit: string;
  readonly figure: string;
  readonly outcome: string;
}

/** The parts of the sentence about a goal. */
export function wordsOf(table: Table, { goal, case: name, figure, isReached }: Verdict): GoalWords {
  const column = table.columns.find(({ key }) => key === goal.column) as Column;
  const digits = goal.against === undefined ? (column.digits ?? 2) : 2;
  const limits = [
    ...(goal.atMost === undefined ? [] : [`at most ${formatLimit(goal.atMost)}`]),
    ...(goal.atLeast === undefined ? [] : [`at least ${formatLimit(goal.atLeast)}`]),
  ].join(' and ');
  const unit = goal.against === undefined ? ` ${column.unit}` : ` × ${titleOf(table, goal.against)}`;
  return {
    subject: [name, titleOf(table, goal.variant), column.title].filter((part) => part !== '').join(', '),
    limit: `${limits}${unit.trimEnd()}`,
    figure: cell(figure, digits),
    outcome: isReached === undefined ? 'not measured' : isReached ? 'reached' : '**not reached**',
  };
}

function goalLine(table: Table, verdict: Verdict): string {
  const { subject, limit, figure, outcome } = wordsOf(table, verdict);
  const note = verdict.goal.note === undefined ? '' : ` ${verdict.goal.note}`;
  return `Goal: ${subject}, ${limit}. Measured: ${figure}, ${outcome}.${note}`.replace(
    'Measured: –, not',
    'Not',
  );
}

function formatLimit(value: number): string {
  return value.toLocaleString('en-US');
}
