// `npm run interop [-- WORDS…]`: builds the programs and runs the matrix; with words, only cells such as
// `rust-0.55 yamux: bulk` that contain one of them.
// Ends with one line that counts.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startRelay, startTracker } from '../../scripts/local-network.ts';
import { describeError } from '../../services/shared/errors.ts';
import { cleanUp } from '../../testing/network.ts';
import { ACROSS, type Across } from './across.ts';
import { type Cell, createCell, type Grid } from './cell.ts';
import { isInstalled, type Muxer, MUXERS, type Program, PROGRAMS } from './programs.ts';
import { count, formatPage, formatTable, type Result } from './report.ts';
import { SCENARIOS } from './scenarios.ts';

/** Rows that run at the same time: each mostly waits, and two cores are enough for it. */
const PARALLEL_ROWS = 3;

const ROOT = join(import.meta.dirname, '../..');

interface Row {
  readonly name: string;
  readonly program: Program;
  readonly muxer: Muxer;
  readonly columns: ReadonlyArray<{ readonly name: string; run(cell: Cell): Promise<void> }>;
}

/** What a cell found, or why there was none. */
type Found = Omit<Result, 'row' | 'column'>;

type Missing = Map<Program, Found>;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function rowsOf(wanted: readonly string[]): { matrix: Row[]; across: Row[] } {
  const choose = (row: Row): Row[] => {
    const columns = row.columns.filter(
      ({ name }) => wanted.length === 0 || wanted.some((word) => `${row.name}: ${name}`.includes(word)),
    );
    return columns.length === 0 ? [] : [{ ...row, columns }];
  };
  const matrix = PROGRAMS.flatMap((program) =>
    MUXERS.map((muxer) => ({ name: `${program.name} ${muxer}`, program, muxer, columns: SCENARIOS })),
  );
  const across = PROGRAMS.map((program) => ({
    name: `${program.name} serves`,
    program,
    muxer: 'both' as const,
    columns: ACROSS.filter(({ dialler }) => dialler !== program),
  }));
  return { matrix: matrix.flatMap(choose), across: across.flatMap(choose) };
}

/** Builds what the rows need; answers, for each program that cannot run, why. */
async function build(programs: readonly Program[]): Promise<Missing> {
  const missing: Missing = new Map();
  for (const program of programs) {
    const { toolchain, name } = program;
    if (toolchain !== undefined && !isInstalled(toolchain)) {
      missing.set(program, { outcome: 'skipped', reason: `«${toolchain} version» does not run here` });
      continue;
    }
    say(`── building ${name} (${program.versions})`);
    try {
      await program.build();
    } catch (error) {
      missing.set(program, { outcome: 'failed', reason: describeError(error) });
    }
  }
  return missing;
}

async function runRow(row: Row, grid: Grid, missing: Missing): Promise<Result[]> {
  const results: Result[] = [];
  for (const column of row.columns) {
    const absent =
      missing.get(row.program) ?? ('dialler' in column && missing.get((column as Across).dialler));
    const result = absent || (await runCell(row, column, grid));
    results.push({ row: row.name, column: column.name, ...result });
    if (!absent || result.outcome === 'failed')
      say(
        `${result.outcome.padEnd(7)} ${row.name}: ${column.name}${result.reason === undefined ? '' : `\n        ${result.reason}`}`,
      );
  }
  return results;
}

async function runCell(row: Row, column: Row['columns'][number], grid: Grid): Promise<Found> {
  const cell = createCell(grid, row.program, row.muxer);
  cells.add(cell);
  try {
    await column.run(cell);
    return { outcome: 'passed', notes: cell.notes() };
  } catch (error) {
    return { outcome: 'failed', reason: describeError(error).replaceAll('\n', '\n        ') };
  } finally {
    await cell.end();
    cells.delete(cell);
  }
}

async function runRows(rows: readonly Row[], grid: Grid, missing: Missing): Promise<Result[]> {
  const results = new Map<Row, Result[]>();
  const waiting = [...rows];
  const work = async (): Promise<void> => {
    for (let row = waiting.shift(); row !== undefined; row = waiting.shift())
      results.set(row, await runRow(row, grid, missing));
  };
  await Promise.all(Array.from({ length: PARALLEL_ROWS }, work));
  return rows.flatMap((row) => results.get(row) ?? []);
}

/** The cells at work. */
const cells = new Set<Cell>();

async function end(): Promise<void> {
  await Promise.all([...cells].map(async (cell) => cell.end()));
  await cleanUp();
  await Promise.all([relay.stop(), tracker.stop()]);
  rmSync(folder, { recursive: true, force: true });
}

const HELP = `npm run interop [-- WORDS…]

Builds peers on rust-libp2p, go-libp2p and js-libp2p, runs them against tracker, relay and peer, and prints a
table of what worked. With words, only cells run whose name contains one of them:

  npm run interop -- mplex                 all cells over mplex
  npm run interop -- 'rust-0.55 yamux: bulk'

A whole run with cargo and go writes docs/interop.md. What it builds is kept in INTEROP_CACHE
(~/.cache/rustory-interop). Ends with 0 when nothing failed.`;

const wanted = process.argv.slice(2);
if (wanted.some((word) => word === '--help' || word === '-h')) {
  say(HELP);
  process.exit();
}
const { matrix, across } = rowsOf(wanted);
if (matrix.length + across.length === 0) {
  process.stderr.write(
    `no cell has a name with ${wanted.join(' or ')} in it; see npm run interop -- --help\n`,
  );
  process.exit(2);
}
const folder = mkdtempSync(join(tmpdir(), 'rustory-interop-'));
const needed = across.length > 0 ? PROGRAMS : matrix.map(({ program }) => program);
const missing = await build([...new Set(needed)]);
const relay = await startRelay(folder, { env: { RELAY_CIRCUIT_BYTES: String(1024 ** 3) } });
const tracker = await startTracker();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void end().then(() => process.exit(1)));
try {
  const grid: Grid = { folder, swarmKey: join(folder, 'swarm.key'), tracker, relay };
  const found = {
    matrix: await runRows(matrix, grid, missing),
    across: await runRows(across, grid, missing),
  };
  const all = [...found.matrix, ...found.across];
  if (found.matrix.length > 0) say(`\n${formatTable(found.matrix, SCENARIOS)}`);
  if (found.across.length > 0) say(`\n${formatTable(found.across, ACROSS)}`);
  const skipped = count(all, 'skipped');
  for (const [program, { outcome, reason }] of missing) say(`${outcome}: ${program.name}: ${reason}`);
  if (wanted.length === 0 && skipped === 0) {
    const findings = readFileSync(join(import.meta.dirname, 'findings.md'), 'utf8');
    writeFileSync(
      join(ROOT, 'docs/interop.md'),
      formatPage({ programs: PROGRAMS, scenarios: SCENARIOS, pairs: ACROSS, ...found, findings }),
    );
  }
  say(
    `\n${count(all, 'passed')} passed, ${count(all, 'failed')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`,
  );
  process.exitCode = count(all, 'failed') === 0 ? 0 : 1;
} finally {
  await end();
}
