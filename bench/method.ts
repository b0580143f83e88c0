// The method: rounds of fresh processes, every row once in each round, in shuffled order.
import type { Benchmark, Run, Sample, Table } from './benchmark.ts';
import type { Machine } from './machine.ts';
import type { BenchmarkResult, RowResult } from './result.ts';
import { openRun } from './run-scope.ts';
import { nextScale, voidReason } from './sample-rules.ts';
import { createRandom, shuffled } from './shuffle.ts';
import { median } from './statistics.ts';

/** Minimum rounds of a valid result, in addition to the warm-up. */
export const MIN_ROUNDS = 5;

/** Attempts to get a sample that counts, in each round. */
const ATTEMPTS = 3;

/** Rounds without a sample that counts after which a row is given up, so that it does not take the time of the others. */
const MAX_VOID_ROUNDS = 2;

/** Maximum length of the reason of a void run in the report. */
const MAX_REASON_LENGTH = 300;

/** Other programs may use this share of one core, as a median; above it the machine is not quiet. */
const QUIET_CORES = 0.1;

export interface MethodOptions {
  readonly rounds: number;
  readonly seed: number;
  /** One small run of each row, to see that it works. The result is invalid. */
  readonly isQuick: boolean;
  /** Only rows whose table, case or variant contains this text. The result is invalid. */
  readonly only?: string;
  readonly command: string;
  readonly describeMachine: () => Machine;
  /** Measures how many cores other programs use. Called before each round, when nothing of the benchmark runs. */
  readonly otherCores: () => Promise<number>;
  readonly progress: (text: string) => void;
}

/** A row while the benchmark runs. */
interface Row {
  readonly table: Table;
  readonly run: Run;
  readonly samples: Array<Sample | null>;
  readonly voids: string[];
  scale: number;
  skipped?: string;
}

/** Runs all rows of a benchmark in rounds. A row that never gets a sample that counts has no figures. */
export async function runBenchmark(benchmark: Benchmark, options: MethodOptions): Promise<BenchmarkResult> {
  const { progress } = options;
  const rows = benchmark.tables.flatMap((table) =>
    table.runs
      .filter((run) => isWanted(table, run, options.only))
      .map((run): Row => ({ table, run, samples: [], voids: [], scale: 1 })),
  );
  for (const row of rows) {
    const reason = await row.run.unavailable?.();
    if (reason !== undefined) row.skipped = reason;
  }
  const startedAt = new Date();
  const random = createRandom(options.seed);
  const active = rows.filter(({ skipped }) => skipped === undefined);
  const others: number[] = [];
  for (let round = options.isQuick ? 1 : 0; round <= options.rounds; round += 1) {
    others.push(await options.otherCores());
    for (const [index, row] of shuffled(active, random).entries()) {
      const position = `round ${round} of ${options.rounds}, ${index + 1} of ${active.length}`;
      const elapsed = Math.round((Date.now() - startedAt.getTime()) / 1000);
      progress(`${benchmark.name}, ${elapsed} s: ${position}: ${nameOf(row)}`);
      if (round === 0) await warmUp(row);
      else row.samples.push(await sampleOf(row, round, options));
    }
  }
  return {
    name: benchmark.name,
    command: options.command,
    startedAt: startedAt.toISOString(),
    seconds: Math.round((Date.now() - startedAt.getTime()) / 1000),
    seed: options.seed,
    rounds: options.rounds,
    invalid: invalidReasons(options, median(others)),
    machine: options.describeMachine(),
    otherCores: median(others),
    tables: benchmark.tables.map((table) => ({
      key: table.key,
      rows: rows.filter((row) => row.table === table).map(resultOf),
    })),
  };
}

function isWanted(table: Table, run: Run, only: string | undefined): boolean {
  return only === undefined || `${table.key} ${run.case} ${run.variant}`.includes(only);
}

function nameOf({ table, run }: Row): string {
  return [table.title, run.case, run.title].filter((part) => part !== '').join(', ');
}

function invalidReasons({ rounds, isQuick, only }: MethodOptions, others: number): string[] {
  return [
    ...(isQuick ? ['These are single small samples of a quick run.'] : []),
    ...(rounds < MIN_ROUNDS && !isQuick
      ? [`There are ${rounds} rounds; valid figures have at least ${MIN_ROUNDS}.`]
      : []),
    ...(only === undefined ? [] : [`Only the rows with "${only}" were run.`]),
    ...(others > QUIET_CORES
      ? [`Other programs used ${others.toFixed(1)} cores while nothing of the benchmark ran.`]
      : []),
  ];
}

/** Finds the scale; the sample does not count. */
async function warmUp(row: Row): Promise<void> {
  const sample = await runOnce(row, 0);
  if (row.table.minimum !== 'any' && sample.errors.length === 0) row.scale = nextScale(row.scale, sample);
  if (sample.errors[0] !== undefined) row.voids.push(oneLine(sample.errors[0]));
}

async function sampleOf(row: Row, round: number, options: MethodOptions): Promise<Sample | null> {
  const minimum = options.isQuick ? 'any' : (row.table.minimum ?? 'work');
  if (isGivenUp(row)) return null;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const sample = await runOnce(row, round);
    const reason = voidReason(sample, minimum);
    if (reason === undefined) return sample;
    options.progress(`  void: ${oneLine(reason)}`);
    row.voids.push(oneLine(reason));
    if (sample.errors.length === 0) row.scale = nextScale(row.scale, sample);
    if (options.isQuick) break;
  }
  return null;
}

/** Reasons may contain the output of a program. */
function oneLine(reason: string): string {
  const line = reason.replaceAll(/\s+/g, ' ');
  return line.length > MAX_REASON_LENGTH ? `${line.slice(0, MAX_REASON_LENGTH)}…` : line;
}

function isGivenUp({ samples }: Row): boolean {
  return samples.length >= MAX_VOID_ROUNDS && samples.every((sample) => sample === null);
}

/** One run. What it started is stopped, also when it throws; then the run is void. */
async function runOnce({ run, scale }: Row, round: number): Promise<Sample> {
  const scope = openRun(scale, round);
  try {
    return await run.run(scope.context);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { cpuSeconds: 0, loadCpuSeconds: 0, seconds: 0, operations: 0, errors: [message] };
  } finally {
    await scope.close();
  }
}

function resultOf({ table, run, samples, voids, skipped }: Row): RowResult {
  const figures = (read: (sample: Sample) => number | undefined): Array<number | null> =>
    samples.map((sample) => (sample === null ? null : (read(sample) ?? null)));
  return {
    case: run.case,
    variant: run.variant,
    title: run.title,
    values: Object.fromEntries(table.columns.map(({ key, read }) => [key, figures(read)])),
    cpuSeconds: figures(({ cpuSeconds }) => cpuSeconds),
    loadCpuSeconds: figures(({ loadCpuSeconds }) => loadCpuSeconds),
    voids,
    ...(skipped === undefined ? {} : { skipped }),
  };
}
