// All benchmarks, in the order of the report.
import type { Benchmark } from './benchmark.ts';
import { RELAY_BENCHMARKS } from './relay/benchmarks.ts';
import { burstBenchmark } from './tracker/burst.ts';
import { listBenchmark, listRedisBenchmark } from './tracker/list.ts';
import { liveBenchmark } from './tracker/live.ts';
import { registerBenchmark, registerRedisBenchmark } from './tracker/register.ts';
import { tlsBenchmark } from './tracker/tls.ts';

export const BENCHMARKS: readonly Benchmark[] = [
  ...RELAY_BENCHMARKS,
  registerBenchmark,
  registerRedisBenchmark,
  listBenchmark,
  listRedisBenchmark,
  burstBenchmark,
  liveBenchmark,
  tlsBenchmark,
];
