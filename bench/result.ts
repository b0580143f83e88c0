// The figures of a benchmark, kept in `docs/benchmarks/NAME.json` so that the report can be assembled again.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine } from './machine.ts';
import type { Rounds } from './statistics.ts';

export interface RowResult {
  readonly case: string;
  readonly variant: string;
  readonly title: string;
  /** The figures of the rounds by the key of their column; `null` where the round is void. */
  readonly values: Readonly<Record<string, Rounds>>;
  /** CPU time of the load in each round, in seconds. */
  readonly loadCpuSeconds: Rounds;
  /** CPU time of the measured servers in each round, in seconds. */
  readonly cpuSeconds: Rounds;
  /** Why runs did not count, one reason for each. A repeated run that counts is in `values`. */
  readonly voids: readonly string[];
  /** Why the row was not run. */
  readonly skipped?: string;
}

export interface TableResult {
  readonly key: string;
  readonly rows: readonly RowResult[];
}

export interface BenchmarkResult {
  readonly name: string;
  readonly command: string;
  readonly startedAt: string;
  readonly seconds: number;
  readonly seed: number;
  readonly rounds: number;
  /** Empty when the figures are valid; otherwise whole sentences. */
  readonly invalid: readonly string[];
  readonly machine: Machine;
  /** Cores that other programs used between the rounds, as a median. */
  readonly otherCores: number;
  readonly tables: readonly TableResult[];
}

function pathOf(folder: string, name: string): string {
  return join(folder, 'benchmarks', `${name}.json`);
}

/** @returns `undefined` when the benchmark was never run */
export function readResult(folder: string, name: string): BenchmarkResult | undefined {
  const path = pathOf(folder, name);
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as BenchmarkResult) : undefined;
}

export function writeResult(folder: string, result: BenchmarkResult): void {
  mkdirSync(join(folder, 'benchmarks'), { recursive: true });
  writeFileSync(pathOf(folder, result.name), `${JSON.stringify(result, rounded, 2)}\n`);
}

/** Six significant digits; what is behind them is noise that makes every difference of two files long. */
function rounded(_key: string, value: unknown): unknown {
  if (Array.isArray(value) && value.every((item) => item === null || typeof item === 'number'))
    return value.map((item) => (item === null ? null : Number(item.toPrecision(6))));
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value;
}
