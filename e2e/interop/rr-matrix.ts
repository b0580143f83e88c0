// The cells of the table of `rr`, and how they run.
import { describeError } from '../../services/shared/errors.ts';
import { HAS_NAMESPACES } from '../../testing/namespace.ts';
import type { Network } from './cell.ts';
import { runInParallel } from './matrix.ts';
import type { Result } from './report.ts';
import { createRrCell, type RrCell } from './rr-cell.ts';
import { RR_PROGRAMS, type RrProgram } from './rr-programs.ts';
import { RR_SCENARIOS, type RrScenario } from './rr-scenarios.ts';

export interface RrRow {
  readonly program: RrProgram;
  readonly columns: readonly RrScenario[];
}

/** The word that selects the scenarios that run for minutes. */
const LONG = 'long';

/**
 * Scenarios that run in one row of 1.x, unless a word selects them: the mesh loads both cores, and the others either do not
 * depend on the muxer, or meet every muxer in `hub mixed` and in the cells of the other programs. They are spread over the
 * rows, which run side by side.
 */
const ONE_ROW_OF_1X: ReadonlyMap<string, string> = new Map([
  ['mesh', 'rr 1.x yamux, mplex'],
  ['hub', 'rr 1.x yamux, mplex'],
  ['hub mixed', 'rr 1.x yamux, mplex'],
  ['hub direct', 'rr 1.x yamux'],
  ['hub refuses', 'rr 1.x yamux'],
  ['hub lost', 'rr 1.x mplex'],
  ['peer pushes', 'rr 1.x mplex'],
]);

/** The rows of the table. With words, only the cells whose name contains one of them. */
export function selectRrRows(words: readonly string[]): RrRow[] {
  return RR_PROGRAMS.flatMap((program) => {
    const isGen1 = program.generation === '1.x';
    const columns = RR_SCENARIOS.filter((scenario) => {
      const { name, onlyGen1 = false, isLong = false } = scenario;
      if (onlyGen1 && !isGen1) return false;
      if (isLong && !words.some((word) => word.includes(LONG))) return false;
      if (words.length === 0) return !isGen1 || (ONE_ROW_OF_1X.get(name) ?? program.name) === program.name;
      return words.some((word) => `${program.name}: ${name}`.includes(word));
    });
    return columns.length === 0 ? [] : [{ program, columns }];
  });
}

export interface RrRunner {
  run(rows: readonly RrRow[]): Promise<Result[]>;
  /** Kills the processes of the cells that run. */
  stop(): Promise<void>;
}

/** @param missing why the programs cannot run */
export function createRrRunner(
  network: Network,
  missing: string | undefined,
  report: (text: string) => void,
): RrRunner {
  const running = new Set<RrCell>();

  async function runCell(program: RrProgram, scenario: RrScenario): Promise<Omit<Result, 'row' | 'column'>> {
    if (missing !== undefined) return { outcome: 'skipped', reason: missing };
    if (scenario.needsNamespaces === true && !HAS_NAMESPACES)
      return { outcome: 'skipped', reason: 'network namespaces require root on Linux' };
    const cell = createRrCell(network, program);
    running.add(cell);
    try {
      await scenario.run(cell);
      return { outcome: 'passed', notes: cell.notes() };
    } catch (error) {
      return { outcome: 'failed', reason: describeError(error).replaceAll('\n', '\n        ') };
    } finally {
      await cell.stop();
      running.delete(cell);
    }
  }

  async function runRow({ program, columns }: RrRow): Promise<Result[]> {
    const results: Result[] = [];
    for (const scenario of columns) {
      const startMs = performance.now();
      const result = await runCell(program, scenario);
      results.push({ row: program.name, column: scenario.name, ...result });
      if (result.outcome === 'skipped') continue;
      const seconds = ((performance.now() - startMs) / 1000).toFixed(0);
      const notes = (result.notes ?? []).map((note) => `; ${note}`).join('');
      const reason = result.reason === undefined ? '' : `\n        ${result.reason}`;
      report(`${result.outcome.padEnd(7)} ${program.name}: ${scenario.name} (${seconds} s${notes})${reason}`);
    }
    return results;
  }

  return {
    // All at once: these rows wait for timers and gaps most of the time.
    run: async (rows) => runInParallel(rows, runRow, rows.length),
    stop: async () => void (await Promise.all([...running].map(async (cell) => cell.stop()))),
  };
}
