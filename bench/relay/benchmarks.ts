// The benchmarks of the relay, in the order of the report.
import type { Benchmark } from '../benchmark.ts';
import { CONNECT } from './connect.ts';
import { EMPTY_SYNC } from './empty-sync.ts';
import { MEMORY } from './memory.ts';
import { MESHES } from './mesh.ts';
import { PULL } from './pull.ts';
import { RESTART } from './restart.ts';
import { THROUGHPUT } from './throughput.ts';

export const RELAY_BENCHMARKS: readonly Benchmark[] = [
  ...THROUGHPUT,
  EMPTY_SYNC,
  ...MESHES,
  RESTART,
  CONNECT,
  MEMORY,
  PULL,
];
