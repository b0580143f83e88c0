import { describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import { createUnreachablePeers } from './unreachable-peers.ts';

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;

function start() {
  let currentMs = 0;
  const lines: Array<Record<string, unknown>> = [];
  const log = pino(
    { base: null, timestamp: false },
    { write: (line: string) => lines.push(JSON.parse(line)) },
  );
  const peers = createUnreachablePeers({
    log,
    nowMs: () => currentMs,
    nowUnixSeconds: () => 1_800_000_000 + currentMs / SECOND_MS,
  });
  const fail = (target: string, source = 'asker'): void => peers.failed(target, source, 'no_reservation');
  return { peers, lines, fail, advance: (ms: number) => (currentMs += ms) };
}

describe('unreachable peers', () => {
  it('counts a target from its first failure until it is reached', () => {
    const { peers, fail } = start();
    fail('a');
    fail('a', 'other');
    fail('b');
    expect(peers.count()).toBe(2);
    peers.reached('a');
    peers.reached('never asked for');
    expect(peers.count()).toBe(1);
  });

  it('forgets a target that nobody has asked for in 10 minutes', () => {
    const { peers, fail, advance } = start();
    fail('a');
    advance(9 * MINUTE_MS);
    fail('b');
    expect(peers.count()).toBe(2);
    advance(MINUTE_MS);
    expect(peers.count()).toBe(1);
  });

  it('is lasting only when the failures span 5 minutes without a success', () => {
    const { peers, fail, advance } = start();
    fail('asleep');
    fail('broken');
    fail('flapping');
    advance(2 * MINUTE_MS);
    fail('asleep');
    fail('broken');
    peers.reached('flapping');
    fail('flapping');
    advance(3 * MINUTE_MS);
    fail('broken');
    fail('flapping');
    expect(peers.lastingCount()).toBe(1);
    peers.reached('broken');
    expect(peers.lastingCount()).toBe(0);
  });

  it('logs a target once, with the time of its first failure, and logs that it is back', () => {
    const { peers, lines, fail, advance } = start();
    fail('a');
    advance(MINUTE_MS);
    fail('a', 'other');
    expect(lines).toEqual([
      {
        level: 30,
        target: 'a',
        source: 'asker',
        reason: 'no_reservation',
        since: '2027-01-15T08:00:00.000Z',
        msg: 'peer cannot be reached',
      },
    ]);
    peers.reached('a');
    expect(lines.at(-1)).toEqual({ level: 30, target: 'a', seconds: 60, msg: 'peer can be reached again' });
  });

  it('keeps targets that several sources ask for when one source fills the list', () => {
    const { peers, lines, fail, advance } = start();
    fail('device', 'laptop');
    fail('device', 'desktop');
    for (let index = 0; index < 10_000; index += 1) fail(`invented ${index}`, 'attacker');
    expect(peers.count()).toBe(4_096);
    advance(6 * MINUTE_MS);
    fail('device', 'laptop');
    expect(peers.lastingCount()).toBe(1);
    expect(lines.length).toBeLessThanOrEqual(30);
  });

  it('adds a target to a full list, and evicts the one that was not asked for the longest', () => {
    const { peers, fail, advance } = start();
    for (let index = 0; index < 4_096; index += 1) fail(`invented ${index}`, 'attacker');
    fail('invented 0', 'attacker');
    fail('device', 'laptop');
    advance(6 * MINUTE_MS);
    for (const target of ['invented 0', 'invented 1', 'device']) fail(target);
    expect(peers.lastingCount()).toBe(2);
  });
});
