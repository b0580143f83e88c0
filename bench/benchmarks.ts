// All benchmarks, in the order of the report.
import type { Benchmark } from './benchmark.ts';

export const BENCHMARKS: readonly Benchmark[] = [];
