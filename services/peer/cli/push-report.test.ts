import { describe, expect, test } from '@jest/globals';
import { createTestOutput } from '../../../testing/cli.ts';
import type { PullReport } from '../sync/pull.ts';
import type { PushReport } from '../sync/push.ts';
import { NO_ROUND, type Round } from '../sync/sync-round.ts';
import { NO_REPORT } from '../sync/turn.ts';
import { exitOfRound } from './commands/sync.ts';
import { createScreen } from './screen.ts';
import { showRound, showWatchRound } from './sync-report.ts';

const pushOf = (change: Partial<PushReport>): PushReport => ({
  state: 'ok',
  entries: 0,
  deletions: 0,
  inserted: 0,
  bytes: 10,
  durationMs: 5,
  problem: undefined,
  ...change,
});

const reportOf = (peerId: string, push: Partial<PushReport>): PullReport => ({
  ...NO_REPORT,
  peerId,
  push: pushOf(push),
});

const roundOf = (...reports: readonly PullReport[]): Round => ({ ...NO_ROUND, reports });

async function show(round: Round, isWatch = false, isJson = false) {
  const [stdout, stderr] = [createTestOutput(false, 200), createTestOutput(false, 200)];
  const screen = createScreen({ stdout, stderr, useColor: false, nowMs: () => 0 });
  if (isWatch) await showWatchRound(round, 1, screen, isJson);
  else await showRound(round, screen, isJson);
  return { stdout: stdout.text(), stderr: stderr.text() };
}

const notAllowed = { state: 'not allowed', problem: 'It is not in allowed_peers.' } as const;
const refused = { state: 'refused', problem: 'The peer refused the push.' } as const;

describe('the report of pushes', () => {
  const round = roundOf(
    reportOf('peer-a', { entries: 1_200, deletions: 2 }),
    reportOf('peer-b', { entries: 20 }),
    reportOf('peer-c', refused),
    reportOf('peer-d', { state: 'unfinished', deletions: 1 }),
    reportOf('peer-e', notAllowed),
  );

  test('sums them up, and has a column of its own', async () => {
    const { stdout, stderr } = await show(round);
    expect(stdout).toContain(
      'pushed 1,220 entries, 3 deletions to 3 devices, 1 push continues later, 1 push failed',
    );
    expect(stdout).toMatch(/PUSHED/);
    expect(stdout).toMatch(/peer-a .*1,202 .*ok/);
    expect(stdout).toMatch(/peer-c .*push refused/);
    expect(stdout).toMatch(/peer-d .*unfinished/);
    expect(stderr).toContain('peer-c: The peer refused the push.');
    expect(stderr).toContain('peer-d: there is more to push');
    expect(stderr).toContain('peer-e: It is not in allowed_peers.');
  });

  test('is part of the line of a watch, without what is the same in each round', async () => {
    const { stdout, stderr } = await show(round, true);
    expect(stdout).toContain('0 failed, pushed 1,220 entries, 3 deletions to 3 devices');
    expect(stderr).toContain('refused');
    expect(stderr).not.toContain('allowed_peers');
  });

  test('is an object in JSON', async () => {
    const [first] = (await show(round, false, true)).stdout.split('\n');
    expect(JSON.parse(String(first))).toMatchObject({
      push: { state: 'ok', entries: 1_200, deletions: 2, inserted: 0, bytes: 10, duration_ms: 5 },
    });
    expect(JSON.parse((await show(round, true, true)).stdout)).toMatchObject({
      failed: 0,
      pushed_entries: 1_220,
      pushed_deletions: 3,
      pushes_failed: 1,
    });
  });

  test('is absent without --push', async () => {
    const { stdout } = await show(roundOf({ ...reportOf('peer-a', {}), push: undefined }));
    expect(stdout).not.toMatch(/push/i);
  });
});

test.each([
  ['ok', pushOf({ entries: 1 })],
  ['ok', pushOf({ state: 'unsupported' })],
  ['ok', pushOf(notAllowed)],
  ['partial', pushOf(refused)],
  ['partial', pushOf({ state: 'failed' })],
  ['partial', pushOf({ state: 'unfinished' })],
] as const)('the exit of a sync is %s after %j', (exit, push) => {
  expect(exitOfRound(roundOf(reportOf('peer-a', push)), [])).toBe(exit);
});
