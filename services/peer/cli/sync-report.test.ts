import { describe, expect, test } from '@jest/globals';
import { createTestOutput } from '../../../testing/cli.ts';
import type { PullReport } from '../sync/pull.ts';
import { NO_ROUND, type Round } from '../sync/sync-round.ts';
import { NO_REPORT } from '../sync/turn.ts';
import { exitOfRound } from './commands/sync.ts';
import { createScreen } from './screen.ts';
import { showRound, showWatchRound } from './sync-report.ts';

const TRACKERS = ['http://tracker.lan'];

const report = (peerId: string, change: Partial<PullReport> = {}): PullReport => ({
  ...NO_REPORT,
  peerId,
  entries: 1_000,
  ...change,
});

const failed = (peerId: string): PullReport =>
  report(peerId, { error: 'No address led to the peer (16 tried).', entries: 0 });

const roundOf = (change: Partial<Round>): Round => ({ ...NO_ROUND, ...change });

function createTestScreen() {
  const [stdout, stderr] = [createTestOutput(false, 200), createTestOutput(false, 200)];
  return { screen: createScreen({ stdout, stderr, useColor: false, nowMs: () => 0 }), stdout, stderr };
}

describe('a one-shot sync that ended at a limit', () => {
  const round = roundOf({
    reports: [report('peer-a'), report('peer-b', { isUnfinished: true })],
    postponed: ['peer-c'],
  });

  test('says which devices are left and how it goes on', async () => {
    const { screen, stdout, stderr } = createTestScreen();
    await showRound(round, screen, false);
    expect(stderr.text()).toContain('2 devices are not synced completely. Run "rustory-peer sync" again');
    expect(stdout.text()).toMatch(/peer-a.* ok/);
    expect(stdout.text()).toMatch(/peer-b.* unfinished/);
    expect(stdout.text()).toMatch(/peer-c.* postponed/);
  });

  test('has the fields unfinished and postponed as JSON', async () => {
    const { screen, stdout } = createTestScreen();
    await showRound(round, screen, true);
    const objects = stdout
      .text()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(objects[0]).not.toHaveProperty('unfinished');
    expect(objects[1]).toHaveProperty('unfinished', true);
    expect(objects[2]).toMatchObject({ peer_id: 'peer-c', postponed: expect.any(String) });
  });

  test('is no success, and a failure only if nothing was synced', () => {
    expect(exitOfRound(round, TRACKERS)).toBe('partial');
    expect(exitOfRound(roundOf({ postponed: ['a'], reports: [report('b')] }), TRACKERS)).toBe('partial');
    expect(exitOfRound(roundOf({ postponed: ['a'], reports: [failed('b')] }), TRACKERS)).toBe('unreachable');
    expect(exitOfRound(roundOf({ reports: [report('a')] }), TRACKERS)).toBe('ok');
  });
});

test('a thousand devices that failed are counted, and the first ones are described', async () => {
  const { screen, stderr } = createTestScreen();
  await showRound(
    roundOf({ reports: Array.from({ length: 1_000 }, (_, n) => failed(`p${n}`)) }),
    screen,
    false,
  );
  expect(stderr.text().split('\n').length).toBeLessThan(50);
  expect(stderr.text()).toContain('968 more devices failed.');
});

test('a round of a watch counts the devices that had no turn', async () => {
  const { screen, stdout } = createTestScreen();
  await showWatchRound(roundOf({ postponed: ['a'], waiting: ['b', 'c'] }), 1, screen, false);
  expect(stdout.text()).toContain('1 postponed to the next round, 2 paused after failures');
});
