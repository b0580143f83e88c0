// The cells of both tables, and how they run: rows in parallel, the cells of a row one after another.
import { describeError } from '../../services/shared/errors.ts';
import { type Cell, createCell, type Network } from './cell.ts';
import { PAIRS } from './pairs.ts';
import { isInstalled, type Muxer, MUXERS, type Program, PROGRAMS } from './programs.ts';
import type { Result } from './report.ts';
import { SCENARIOS } from './scenarios.ts';

/** Rows that run at the same time. A row mostly waits, so two cores are sufficient. */
const PARALLEL_ROWS = 3;

/** A scenario, or a pair. */
interface Column {
  readonly name: string;
  /** Further programs that the cell starts. */
  readonly dialer?: Program;
  readonly relay?: Program;
  run(cell: Cell): Promise<void>;
}

export interface Row {
  readonly name: string;
  readonly program: Program;
  readonly muxer: Muxer;
  readonly columns: readonly Column[];
}

type CellResult = Omit<Result, 'row' | 'column'>;

/** The programs that cannot run, with the result of their cells. */
export type Unavailable = ReadonlyMap<Program, CellResult>;

/** The rows of both tables. With words, only the cells whose name contains one of them. */
export function selectRows(words: readonly string[]): { matrix: Row[]; across: Row[] } {
  const select = (row: Row): Row[] => {
    const columns = row.columns.filter(
      ({ name }) => words.length === 0 || words.some((word) => `${row.name}: ${name}`.includes(word)),
    );
    return columns.length === 0 ? [] : [{ ...row, columns }];
  };
  const isChosen = words.length > 0;
  const matrix = PROGRAMS.flatMap((program) =>
    MUXERS.map((muxer) => ({
      name: `${program.name} ${muxer}`,
      program,
      muxer,
      // A program that offers both gets yamux, so that most scenarios would do the same as with yamux alone.
      columns: SCENARIOS.filter(({ negotiates = false }) => isChosen || muxer !== 'both' || negotiates),
    })),
  );
  const across = PROGRAMS.map((program) => ({
    name: `${program.name} serves`,
    program,
    muxer: 'both' as const,
    columns: PAIRS.filter(({ dialer }) => dialer !== program),
  }));
  return { matrix: matrix.flatMap(select), across: across.flatMap(select) };
}

/** The programs that the cells of the rows start. */
export function programsOfRows(rows: readonly Row[]): Set<Program> {
  return new Set(rows.flatMap((row) => row.columns.flatMap((column) => programsOf(row, column))));
}

function programsOf({ program }: Row, { dialer, relay }: Column): Program[] {
  return [program, dialer, relay].filter((used) => used !== undefined);
}

/** Builds the programs. Returns those that cannot run. */
export async function buildPrograms(
  programs: Iterable<Program>,
  report: (text: string) => void,
): Promise<Unavailable> {
  const unavailable = new Map<Program, CellResult>();
  for (const program of programs) {
    const { toolchain, name } = program;
    if (toolchain !== undefined && !(await isInstalled(toolchain))) {
      unavailable.set(program, {
        outcome: 'skipped',
        reason: `"${toolchain} version" does not work on this machine`,
      });
      continue;
    }
    report(`building ${name} (${program.versions})`);
    try {
      await program.build();
    } catch (error) {
      unavailable.set(program, { outcome: 'failed', reason: describeError(error) });
    }
  }
  return unavailable;
}

export interface Runner {
  run(rows: readonly Row[]): Promise<Result[]>;
  /** Kills the processes of the cells that run. */
  stop(): Promise<void>;
}

export function createRunner(
  network: Network,
  unavailable: Unavailable,
  report: (text: string) => void,
): Runner {
  const running = new Set<Cell>();

  async function runCell(row: Row, column: Row['columns'][number]): Promise<CellResult> {
    const cell = createCell(network, row.program, row.muxer);
    running.add(cell);
    try {
      await column.run(cell);
      return { outcome: 'passed', defects: cell.defects() };
    } catch (error) {
      return { outcome: 'failed', reason: describeError(error).replaceAll('\n', '\n        ') };
    } finally {
      await cell.stop();
      running.delete(cell);
    }
  }

  async function runRow(row: Row): Promise<Result[]> {
    const results: Result[] = [];
    for (const column of row.columns) {
      const missing = programsOf(row, column)
        .map((program) => unavailable.get(program))
        .find(Boolean);
      const result = missing ?? (await runCell(row, column));
      results.push({ row: row.name, column: column.name, ...result });
      const reason = result.reason === undefined ? '' : `\n        ${result.reason}`;
      if (result.outcome !== 'skipped')
        report(`${result.outcome.padEnd(7)} ${row.name}: ${column.name}${reason}`);
    }
    return results;
  }

  return {
    run: async (rows) => runInParallel(rows, runRow),
    stop: async () => void (await Promise.all([...running].map(async (cell) => cell.stop()))),
  };
}

/** Runs rows in parallel, and returns their results in the order of the rows. */
export async function runInParallel<T>(
  rows: readonly T[],
  runRow: (row: T) => Promise<Result[]>,
  parallelRows: number = PARALLEL_ROWS,
): Promise<Result[]> {
  const results = new Map<T, Result[]>();
  const queue = [...rows];
  const work = async (): Promise<void> => {
    for (let row = queue.shift(); row !== undefined; row = queue.shift()) results.set(row, await runRow(row));
  };
  await Promise.all(Array.from({ length: parallelRows }, work));
  return rows.flatMap((row) => results.get(row) ?? []);
}
