// A few random rounds for each kind of Redis. `node e2e/tracker/chaos/main.ts` runs many.
import { expect, test } from '@jest/globals';
import { READY_MS, runChaos } from './chaos/chaos.ts';
import type { Kind } from './chaos/servers.ts';

const SEED = Number(process.env['CHAOS_SEED'] ?? Date.now() % 1_000_000);

test.each<Kind>(['one', 'sentinel', 'cluster'])(
  `a tracker with %s Redis is ready again after random faults (CHAOS_SEED=${SEED})`,
  async (kind) => {
    const lines: string[] = [];
    const print = (line: string): void => void lines.push(line);
    const report = await runChaos({ kind, seed: SEED, rounds: 3, maxSeconds: 4, print }).catch(
      (error: unknown) => {
        throw new Error(lines.join('\n'), { cause: error });
      },
    );
    expect(report.rounds).toBe(3);
    expect(report.slowestMs).toBeLessThan(READY_MS);
  },
);
