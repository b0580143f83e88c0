// What the matrix found, as a table for a terminal and as the page `docs/interop.md`.
import type { Across } from './across.ts';
import type { Scenario } from './scenarios.ts';
import type { Program } from './programs.ts';

export type Outcome = 'passed' | 'failed' | 'skipped';

export interface Result {
  /** The program and its muxer. */
  readonly row: string;
  readonly column: string;
  readonly outcome: Outcome;
  /** Why it failed or was skipped. */
  readonly reason?: string;
  /** It passed, but for known faults of the program. */
  readonly notes?: readonly string[];
}

const MARKS: Record<Outcome, string> = { passed: '✓', failed: 'FAILED', skipped: 'skipped' };

export function count(results: readonly Result[], outcome: Outcome): number {
  return results.filter((result) => result.outcome === outcome).length;
}

/** The table in Markdown, which is easily read on a terminal too; with the columns in this order. */
export function formatTable(
  results: readonly Result[],
  order: ReadonlyArray<{ readonly name: string }>,
): string {
  const rows = [...new Set(results.map(({ row }) => row))];
  const columns = order
    .map(({ name }) => name)
    .filter((name) => results.some(({ column }) => column === name));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`;
  const markOf = (row: string, column: string): string => {
    const found = results.find((result) => result.row === row && result.column === column);
    if (found === undefined) return '';
    return [MARKS[found.outcome], ...(found.notes ?? [])].join(' but ');
  };
  const cells = [
    ['', ...columns],
    ...rows.map((row) => [row].concat(columns.map((column) => markOf(row, column)))),
  ];
  const widths = ['', ...columns].map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  const [head = [], ...body] = cells;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n');
}

export interface Page {
  readonly programs: readonly Program[];
  readonly scenarios: readonly Scenario[];
  readonly pairs: readonly Across[];
  readonly matrix: readonly Result[];
  readonly across: readonly Result[];
  readonly findings: string;
}

/** The page. It holds nothing that differs from run to run while all is well. */
export function formatPage({ programs, scenarios, pairs, matrix, across, findings }: Page): string {
  const all = [...matrix, ...across];
  const failures = all.filter(({ outcome }) => outcome === 'failed');
  return `# Other implementations

Written by \`npm run interop\`, which builds these programs and runs every cell below against our relay, tracker and peer as
real processes, inside one private network. ${count(all, 'passed')} of ${all.length} cells passed.

| program | made of |
| --- | --- |
${programs.map(({ name, versions }) => `| ${name} | ${versions} |`).join('\n')}

rust-0.55 is built as released \`rr\` clients are; \`both\` offers yamux first, then mplex. All speak TCP → swarm key → Noise → muxer, and
the same again inside a circuit, the swarm key included. The sources are in \`e2e/interop/\`; \`programs.ts\` tells their command line. Builds are
kept in \`~/.cache/rustory-interop\`, or where \`INTEROP_CACHE\` says; without \`cargo\` or \`go\` their cells are skipped. \`npm run interop -- 'go yamux'\`
runs a part, and does not write this page.

## Each program with our services

${formatTable(matrix, scenarios)}

| column | the program … |
| --- | --- |
${scenarios.map(({ name, proves }) => `| ${name} | ${proves} |`).join('\n')}

## Across implementations, through our relay

The program of the row offers both muxers and serves; the one of the column dials with one muxer: identify and ping, 16 MiB with
their hash, and a pull.

${formatTable(across, pairs)}
${failures.length === 0 ? '' : `\n## What failed\n\n${failures.map(({ row, column, reason }) => `- ${row}, ${column}: ${reason}`).join('\n')}\n`}
${findings.trim()}
`;
}
