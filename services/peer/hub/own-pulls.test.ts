import { afterEach, describe, expect, test } from '@jest/globals';
import { cleanUp, onCleanup } from '../../../testing/cleanup.ts';
import { createTestLog } from '../../../testing/peer.ts';
import { until } from '../../../testing/wait.ts';
import { aborted } from '../../shared/signals.ts';
import type { PullReport } from '../sync/pull.ts';
import { NO_ROUND, type Round } from '../sync/sync-round.ts';
import type { OwnPullOutcome } from './outcomes.ts';
import { createOwnPulls } from './own-pulls.ts';

afterEach(cleanUp);

const REPORT = {
  peerId: 'laptop',
  entries: 0,
  duplicates: 0,
  bytes: 100,
  isRefused: false,
  isUnfinished: false,
  invalid: { entries: 0, deletions: 0, text: undefined },
  error: undefined,
} as unknown as PullReport;

/** Own pulls whose pauses end at once; `rounds` are their results. */
async function start(
  rounds: readonly Round[],
  { random = 0, problem = undefined as string | undefined } = {},
) {
  const { log, lines } = createTestLog();
  const outcomes: OwnPullOutcome[] = [];
  const heard: Array<[string, boolean]> = [];
  const pauses: number[] = [];
  const state = { problem, rounds: 0, ended: 0 };
  const component = createOwnPulls({
    round: async () => rounds[state.rounds++] ?? NO_ROUND,
    storageProblem: () => state.problem,
    onHeard: (peerId, isNew) => heard.push([peerId, isNew]),
    onRound: () => void (state.ended += 1),
    metrics: { ownPull: (outcome) => void outcomes.push(outcome) },
    intervalMs: 300_000,
    log,
    nowMs: () => 0,
    random: () => random,
    async sleep(milliseconds, signal) {
      pauses.push(milliseconds);
      if (state.ended >= Math.max(1, rounds.length))
        await aborted(signal).then(() => signal.throwIfAborted());
    },
  });
  await component.start();
  onCleanup(async () => component.stop());
  await until(() => pauses.length > Math.max(1, rounds.length), 'the rounds have ended');
  return { outcomes, heard, pauses, lines, state };
}

describe('the pulls of the hub', () => {
  test('are counted by outcome, and devices that answer are heard of', async () => {
    const round: Round = {
      ...NO_ROUND,
      reports: [
        REPORT,
        { ...REPORT, peerId: 'desktop', entries: 5, duplicates: 2 },
        { ...REPORT, peerId: 'known', entries: 5, duplicates: 5 },
        { ...REPORT, peerId: 'long', isUnfinished: true },
        { ...REPORT, peerId: 'strict', isRefused: true, error: 'The peer does not answer this device.' },
        { ...REPORT, peerId: 'off', error: 'No address led to the peer.' },
      ],
      skipped: ['sync-only'],
      postponed: ['later'],
    };
    const { outcomes, heard } = await start([round]);
    expect(outcomes).toEqual([
      'complete',
      'complete',
      'complete',
      'unfinished',
      'refused',
      'failed',
      'skipped',
      'postponed',
    ]);
    expect(heard).toEqual([
      ['laptop', false],
      ['desktop', true],
      ['known', false],
      ['long', false],
    ]);
  });

  test('have an interval with jitter, and start within 10 seconds', async () => {
    expect((await start([NO_ROUND])).pauses).toEqual([0, 300_000]);
    expect((await start([NO_ROUND], { random: 1 })).pauses).toEqual([8_000, 240_000]);
  });

  test('are not made while nothing can be stored, which is logged once', async () => {
    const { state, lines, pauses } = await start([], { problem: 'The disk is full.' });
    expect(state.rounds).toBe(0);
    expect(pauses.at(-1)).toBe(10_000);
    expect(lines.filter(({ message }) => message === 'round with problems')).toEqual([
      expect.objectContaining({ problems: ['The disk is full.'] }),
    ]);
  });

  test('log the same problems of trackers once', async () => {
    const round = { ...NO_ROUND, problems: ['The tracker does not respond.'] };
    const { lines } = await start([round, round, NO_ROUND, round]);
    expect(lines.filter(({ message }) => message === 'round with problems')).toHaveLength(2);
  });
});
