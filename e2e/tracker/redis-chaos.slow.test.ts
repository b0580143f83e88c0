// A few rounds of faults for each kind of Redis. `node e2e/tracker/chaos/main.ts` runs many.
import { expect, test } from '@jest/globals';
import { type ChaosOptions, type ChaosReport, READY_MS, runChaos } from './chaos/chaos.ts';
import type { Kind } from './chaos/servers.ts';

const SEED = Number(process.env['CHAOS_SEED'] ?? Date.now() % 1_000_000);

/** Adds what happened to an error. */
async function run(options: Omit<ChaosOptions, 'seed' | 'print'>): Promise<ChaosReport> {
  const lines: string[] = [];
  const print = (line: string): void => void lines.push(line);
  return runChaos({ ...options, seed: SEED, print }).catch((error: unknown) => {
    throw new Error(lines.join('\n'), { cause: error });
  });
}

test.each<Kind>(['one', 'pair', 'sentinel', 'cluster'])(
  `a tracker with %s Redis is ready again after random faults (CHAOS_SEED=${SEED})`,
  async (kind) => {
    const report = await run({ kind, rounds: 3, maxSeconds: 4 });
    expect(report.rounds).toBe(3);
    expect(report.slowestMs).toBeLessThan(READY_MS);
  },
);

test.each<Kind>(['pair', 'sentinel'])(
  'a tracker with %s Redis is ready again whenever Redis and its Sentinels stall for 2 seconds',
  async (kind) => {
    const report = await run({ kind, rounds: 4, maxSeconds: 2, stallMs: 2_000 });
    expect(report.rounds).toBe(4);
    expect(report.slowestMs).toBeLessThan(READY_MS);
  },
);
