import { afterEach, describe, expect, test } from '@jest/globals';
import { until } from '../../../testing/wait.ts';
import type { PullReport } from './pull.ts';
import type { Round } from './sync-round.ts';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { createTestLog } from '../../../testing/peer.ts';
import { createWatch } from './watch.ts';

afterEach(cleanUp);

const synced = { error: undefined } as PullReport;
const refused = { error: 'The peer does not answer this device', isRefused: true } as PullReport;
const unfinished = { error: undefined, isUnfinished: true } as PullReport;
const failed = { error: 'No address led to the peer (2 tried)' } as PullReport;
const roundOf = (...reports: PullReport[]): Round => ({
  reports,
  skipped: [],
  postponed: [],
  waiting: [],
  continues: reports.some(({ isUnfinished }) => isUnfinished),
  retryInMs: reports.some(({ error }) => error !== undefined) ? 10_000 : undefined,
  problems: [],
  warnings: [],
});

/** A watch whose pauses end immediately and are recorded. */
async function startWatch(rounds: ReadonlyArray<Round | Error>, intervalMs = 60_000) {
  const pauses: number[] = [];
  const shown: Round[] = [];
  const { log, lines } = createTestLog();
  let next = 0;
  const watch = createWatch({
    async round() {
      const round = rounds[next];
      next += 1;
      if (round instanceof Error) throw round;
      return round ?? roundOf();
    },
    onRound: async (round) => void shown.push(round),
    intervalMs,
    startJitterMs: 1_000,
    log,
    nowMs: () => 0,
    random: () => 0.5,
    async sleep(milliseconds, signal) {
      pauses.push(milliseconds);
      if (next < rounds.length) return;
      await new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      });
    },
  });
  await watch.start();
  onCleanup(async () => watch.stop());
  await until(() => next >= rounds.length && pauses.length > rounds.length, 'all rounds have run');
  return { watch, pauses, shown, lines };
}

describe('a watch', () => {
  test('starts after a random pause, then syncs at its interval', async () => {
    const { pauses, shown } = await startWatch([roundOf(synced), roundOf(synced)]);
    expect(pauses).toEqual([500, 60_000, 60_000]);
    expect(shown).toHaveLength(2);
  });

  test('pauses for a shorter time after a peer or a tracker failed', async () => {
    const { pauses } = await startWatch([
      roundOf(synced, failed),
      { ...roundOf(synced), problems: ['The tracker is down.'] },
      roundOf(synced),
    ]);
    expect(pauses.slice(1)).toEqual([10_000, 10_000, 60_000]);
  });

  test('waits for its interval after a peer refused this device, because each request costs the peer a look-up', async () => {
    const { pauses } = await startWatch([roundOf(refused, failed)]);
    expect(pauses.slice(1)).toEqual([60_000]);
  });

  test('pauses until the first peer may be tried again, at least 10 s and at most its interval', async () => {
    const { pauses } = await startWatch([
      { ...roundOf(synced), retryInMs: 1_000 },
      { ...roundOf(synced), retryInMs: 40_000 },
      { ...roundOf(synced), retryInMs: 600_000 },
    ]);
    expect(pauses.slice(1)).toEqual([10_000, 40_000, 60_000]);
  });

  test('continues at once with a peer whose history is not complete', async () => {
    const { pauses } = await startWatch([roundOf(unfinished, synced), roundOf(synced)]);
    expect(pauses.slice(1)).toEqual([1_000, 60_000]);
  });

  test('never pauses for longer than its interval', async () => {
    const { pauses } = await startWatch([roundOf(failed)], 2_000);
    expect(pauses).toEqual([500, 2_000]);
  });

  test('continues after a round that failed, and logs the error', async () => {
    const { shown, lines } = await startWatch([new Error('the database is locked'), roundOf(synced)]);
    expect(lines).toEqual([{ error: 'the database is locked', message: 'round failed' }]);
    expect(shown).toHaveLength(1);
  });

  test('stops during a pause', async () => {
    const { watch } = await startWatch([roundOf(synced)]);
    await expect(watch.stop()).resolves.toBeUndefined();
  });
});
