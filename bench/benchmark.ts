// What a benchmark is. `method.ts` runs it, `report.ts` writes its section.

/** What one run of one variant measured. */
export interface Sample {
  /** CPU time of the measured servers during the work, user and system, in seconds. */
  readonly cpuSeconds: number;
  /** CPU time of the processes that make the load, in seconds. */
  readonly loadCpuSeconds: number;
  /** Duration of the work, in seconds. */
  readonly seconds: number;
  /** Operations that were completed and checked, such as requests, circuits or syncs; 0 when only bytes were moved. */
  readonly operations: number;
  /** Bytes of payload that arrived and were compared. */
  readonly bytes?: number;
  /** Duration of each operation, in milliseconds. */
  readonly latenciesMs?: readonly number[];
  /** Resident memory of the servers, in bytes. */
  readonly rssBytes?: number;
  /** Figures that only this benchmark has, by the key of their column. */
  readonly figures?: Readonly<Record<string, number>>;
  /** Wrong bytes, refusals, wrong answers: whole sentences. One of them voids the run. */
  readonly errors: readonly string[];
}

/** What a run gets. It starts fresh servers, prepares the load, measures, and returns the sample. */
export interface RunContext {
  /** Factor for the size of the load. Warm-up starts with 1; the method raises it until a sample is large enough. */
  readonly scale: number;
  /** 0 is the warm-up. */
  readonly round: number;
  /** An empty folder for files of this run, which is removed after it. */
  readonly folder: string;
  /** Registers a step that stops or removes something after the run, the latest first. */
  onEnd(step: () => unknown): void;
}

/** One row of a table: a variant in a case. */
export interface Run {
  /** What is asked, such as `1 circuit`; empty when the table has one case only. */
  readonly case: string;
  /** Who answers: `ours`, `before`, or another program. Goals compare variants of the same case. */
  readonly variant: string;
  /** The name of the row. */
  readonly title: string;
  /** Resolves to a whole sentence when this row cannot run on this machine. */
  readonly unavailable?: () => Promise<string | undefined>;
  readonly run: (context: RunContext) => Promise<Sample>;
}

/** A figure of each row. */
export interface Column {
  readonly key: string;
  readonly title: string;
  readonly unit: string;
  /** The figure of a sample; `undefined` when it has none. */
  readonly read: (sample: Sample) => number | undefined;
  /** Digits after the decimal point. Default 2. */
  readonly digits?: number;
  /** The variant that the ratio of this column is computed against, in the same round and case. Default: no ratio. */
  readonly against?: string;
}

/**
 * A limit for the median of a column. With `against` it is a limit for the median of the ratios of the rounds. It holds
 * for each case of the table, or for `cases`.
 */
export interface Goal {
  readonly column: string;
  readonly variant: string;
  readonly against?: string;
  readonly cases?: readonly string[];
  readonly atMost?: number;
  readonly atLeast?: number;
  /** Added in the report, such as the reason why the goal is not reached. */
  readonly note?: string;
}

/** A table of the report, with one plot of its first column. */
export interface Table {
  /** Part of file names. Unique in its benchmark. */
  readonly key: string;
  readonly title: string;
  readonly columns: readonly [Column, ...Column[]];
  readonly goals: readonly Goal[];
  readonly runs: readonly Run[];
  /**
   * The minimum size of a sample. `work`: 3 CPU-seconds of the server or 1,000 operations, because the kernel counts CPU
   * time in ticks of 10 ms. `any`: for figures that need neither, such as memory. Default `work`.
   */
  readonly minimum?: 'work' | 'any';
}

/** What `npm run bench NAME` runs. */
export interface Benchmark {
  /** Lower case, with hyphens. */
  readonly name: string;
  readonly title: string;
  /** Markdown: what is measured, with which load. */
  readonly about: string;
  /** The limits of the servers that its runs raise, each as a whole sentence or `VARIABLE=value`. */
  readonly raisedLimits: readonly string[];
  readonly tables: readonly Table[];
}
