// Rounds, sample rules, void runs, and what the report says about them, with servers that are only numbers.
import { existsSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import type { Benchmark, Run, RunContext, Sample } from './benchmark.ts';
import type { Machine } from './machine.ts';
import { runBenchmark } from './method.ts';
import { sectionOf } from './report.ts';
import type { RowResult } from './result.ts';
import { nextScale, voidReason } from './sample-rules.ts';

const GOOD: Sample = { cpuSeconds: 4, loadCpuSeconds: 1, seconds: 2, operations: 10, errors: [] };
const MACHINE: Machine = {
  processor: 'a processor',
  cores: 2,
  memoryGiB: 4,
  system: 'linux',
  node: 'v26.0.0',
  commit: 'abcdef0',
  rust: '',
  rustLibp2p: '0.55.0',
};
const OPTIONS = {
  rounds: 5,
  seed: 1,
  isQuick: false,
  command: 'npm run bench',
  describeMachine: () => MACHINE,
  otherCores: async () => 0,
  progress: () => {},
};

function benchmark(
  runs: Readonly<Record<string, (context: RunContext) => Sample | Promise<Sample>>>,
): Benchmark {
  return {
    name: 'example',
    title: 'Example',
    about: 'About.',
    raisedLimits: ['`LIMIT=1`'],
    tables: [
      {
        key: 'table',
        title: 'Example',
        columns: [
          { key: 'cpu', title: 'CPU', unit: 's', against: 'theirs', read: ({ cpuSeconds }) => cpuSeconds },
        ],
        goals: [{ column: 'cpu', variant: 'ours', against: 'theirs', atMost: 0.6 }],
        runs: Object.entries(runs).map(([variant, run]): Run => ({
          case: '',
          variant,
          title: variant,
          run: async (context) => run(context),
        })),
      },
    ],
  };
}

async function rowsOf(tested: Benchmark, options = OPTIONS): Promise<Record<string, RowResult>> {
  const { tables } = await runBenchmark(tested, options);
  return Object.fromEntries(tables[0]?.rows.map((row) => [row.variant, row]) ?? []);
}

describe('a sample', () => {
  test.each([
    { what: 'enough CPU time', sample: GOOD, counts: true },
    { what: 'enough operations', sample: { ...GOOD, cpuSeconds: 0.1, operations: 1_000 }, counts: true },
    { what: 'neither', sample: { ...GOOD, cpuSeconds: 2.9, operations: 999 }, counts: false },
    { what: 'one wrong answer', sample: { ...GOOD, errors: ['A byte is wrong.'] }, counts: false },
  ])('with $what counts: $counts', ({ sample, counts }) => {
    expect(voidReason(sample) === undefined).toBe(counts);
  });

  test('of memory needs neither CPU time nor operations, but no error either', () => {
    const small = { ...GOOD, cpuSeconds: 0, operations: 0 };
    expect(voidReason(small, 'any')).toBeUndefined();
    expect(voidReason({ ...small, errors: ['Refused.'] }, 'any')).toBe('Refused.');
  });

  test('that is too small is repeated larger, by what is nearer: CPU time or operations', () => {
    expect(nextScale(2, { ...GOOD, cpuSeconds: 1, operations: 0 })).toBeCloseTo(6.9);
    expect(nextScale(2, { ...GOOD, cpuSeconds: 1, operations: 500 })).toBeCloseTo(4);
    expect(nextScale(2, { ...GOOD, cpuSeconds: 0, operations: 0 })).toBe(16);
    expect(nextScale(2, GOOD)).toBe(2);
  });
});

describe('the method', () => {
  test('runs every row once in the warm-up and once in each round, in a folder that is removed', async () => {
    const runs: string[] = [];
    const folders: string[] = [];
    const run = (name: string) => (context: RunContext) => {
      runs.push(`${context.round} ${name}`);
      folders.push(context.folder);
      expect(existsSync(context.folder)).toBe(true);
      return GOOD;
    };
    const rows = await rowsOf(benchmark({ ours: run('ours'), theirs: run('theirs') }));
    const expected = [0, 1, 2, 3, 4, 5].flatMap((round) => [`${round} ours`, `${round} theirs`]);
    expect(runs.toSorted()).toEqual(expected);
    expect(new Set(folders).size).toBe(12);
    expect(folders.some((folder) => existsSync(folder))).toBe(false);
    expect(rows['ours']?.values['cpu']).toEqual([4, 4, 4, 4, 4]);
  });

  test('repeats a void run in its round, and keeps the reason', async () => {
    let attempts = 0;
    const ours = ({ round }: RunContext): Sample => {
      if (round !== 2) return GOOD;
      attempts += 1;
      if (attempts === 1) throw new Error('The relay has ended.');
      return attempts === 2 ? { ...GOOD, errors: ['A byte is wrong.'] } : GOOD;
    };
    const rows = await rowsOf(benchmark({ ours }));
    expect(rows['ours']?.values['cpu']).toEqual([4, 4, 4, 4, 4]);
    expect(rows['ours']?.voids).toEqual(['The relay has ended.', 'A byte is wrong.']);
  });

  test('has no figure for a round in which every attempt was void', async () => {
    const errors = ['A byte is wrong.'];
    const tested = benchmark({ ours: ({ round }) => (round === 3 ? { ...GOOD, errors } : GOOD) });
    expect((await rowsOf(tested))['ours']?.values['cpu']).toEqual([4, 4, null, 4, 4]);
  });

  test('finds a scale with which samples are large enough, and keeps it', async () => {
    const scales: number[] = [];
    const ours = ({ scale }: RunContext): Sample => {
      scales.push(scale);
      return { ...GOOD, cpuSeconds: scale, operations: 0 };
    };
    const rows = await rowsOf(benchmark({ ours }));
    expect(scales).toEqual([1, 3.45, 3.45, 3.45, 3.45, 3.45].map((scale) => expect.closeTo(scale)));
    expect(rows['ours']?.voids).toEqual([]);
  });

  test('stops what a run has started, also when it throws', async () => {
    let stopped = 0;
    const ours = ({ onEnd }: RunContext): Sample => {
      onEnd(() => (stopped += 1));
      throw new Error('It failed.');
    };
    await rowsOf(benchmark({ ours }), { ...OPTIONS, rounds: 1 });
    expect(stopped).toBe(4);
  });
});

describe('the report', () => {
  test('shows goals with their figures, reached or not, void runs, and raised limits', async () => {
    const tested = benchmark({
      ours: ({ round }) => ({ ...GOOD, cpuSeconds: round === 1 ? 8 : 4 }),
      theirs: () => GOOD,
      silent: () => ({ ...GOOD, errors: ['Refused.'] }),
    });
    const text = sectionOf(tested, await runBenchmark(tested, OPTIONS));
    expect(text).toContain('| ours | 4.00 (4.00–8.00) | 1.00 (1.00–2.00) | 1.0 (1.0–1.0) |');
    expect(text).toContain(
      'Goal: ours, CPU, at most 0.6 × theirs. Measured: 1.00 (1.00–2.00), **not reached**.',
    );
    // The warm-up and three attempts in each of two rounds; then the row is given up.
    expect(text).toContain('- Void, 7 × silent: Refused.');
    expect(text).toContain('Raised limits: `LIMIT=1`.');
    expect(text).toMatch(/seed 1, 5 rounds/);
  });

  test('says that other programs used the machine, whatever this benchmark used itself', async () => {
    const tested = benchmark({ ours: () => GOOD });
    const shares = [0, 0.5, 0.6, 0, 0.7, 0.4];
    const busy = { ...OPTIONS, otherCores: async () => shares.pop() ?? 0 };
    expect((await runBenchmark(tested, OPTIONS)).invalid).toEqual([]);
    expect((await runBenchmark(tested, busy)).invalid).toEqual([
      'Other programs used 0.5 cores while nothing of the benchmark ran.',
    ]);
  });

  test('says that a quick run is not valid', async () => {
    const tested = benchmark({ ours: () => ({ ...GOOD, cpuSeconds: 0.1 }) });
    const text = sectionOf(tested, await runBenchmark(tested, { ...OPTIONS, rounds: 1, isQuick: true }));
    expect(text).toContain('**These figures are not valid.** These are single small samples of a quick run.');
    expect(text).toContain('| ours | 0.10 |');
  });
});
