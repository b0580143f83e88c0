import { describe, expect, test } from '@jest/globals';
import type { Turn } from '../discovery/peer-turns.ts';
import type { PullReport } from './pull.ts';
import { planRound, recordTurns, recordWaiting, type RoundTarget, timesFor, timesOf } from './round-plan.ts';

const NOW = 1_800_000_000;

const listed = (peerId: string, change: Partial<RoundTarget> = {}): RoundTarget => ({
  peerId,
  addresses: [`/ip4/10.0.0.1/tcp/1/p2p/${peerId}`],
  deviceId: peerId,
  lastSeenUnixSeconds: NOW,
  isListed: true,
  ...change,
});

const failed = { error: 'No address led to the peer.', isUnfinished: false, durationMs: 1 };
const unfinished = { error: undefined, isUnfinished: true, durationMs: 1 };
const complete = { error: undefined, isUnfinished: false, durationMs: 1 };
const slow = { ...complete, durationMs: 20_000 };

const ids = (targets: readonly RoundTarget[]): string[] => targets.map(({ peerId }) => peerId);

/** The rounds of one device, with a clock and the records of turns. */
function createRounds(random: () => number = () => 0.5) {
  const turns = new Map<string, Turn>();
  const clock = { now: NOW };
  const knownGood = (): Set<string> =>
    new Set([...turns.values()].filter(({ hasCompleted }) => hasCompleted === 1).map(({ peerId }) => peerId));
  const context = (includesWaiting = false) => ({
    turns,
    knownGood: knownGood(),
    includesWaiting,
    nowUnixSeconds: clock.now,
    random,
  });
  const plan = (targets: readonly RoundTarget[], includesWaiting = false) => {
    const { first, others, waiting } = planRound(targets, context(includesWaiting));
    return { first: ids(first), others: ids(others), waiting: ids(waiting) };
  };
  const end = (target: RoundTarget, result: object): void => {
    const report = { peerId: target.peerId, isRefused: false, ...result } as PullReport;
    for (const turn of recordTurns([report], [target], { ...context(), listedUnixSeconds: clock.now }))
      turns.set(turn.peerId, turn);
  };
  const wait = (waiting: readonly RoundTarget[], all: readonly RoundTarget[] | undefined): void => {
    for (const turn of recordWaiting(waiting, all, context())) turns.set(turn.peerId, turn);
  };
  /** The time in seconds after which the peer has a turn again. */
  const pauseOf = (target: RoundTarget): number => {
    for (let seconds = 0; ; seconds += 1) {
      const renewed = { ...target, lastSeenUnixSeconds: turns.get(target.peerId)?.seenUnixSeconds ?? NOW };
      clock.now += seconds === 0 ? 0 : 1;
      if (plan([renewed]).waiting.length === 0) return seconds;
    }
  };
  return { turns, clock, plan, end, wait, pauseOf };
}

describe('the order of a round', () => {
  test('begins with the peers that completed their last turn, the one with the oldest turn first', () => {
    const rounds = createRounds();
    const [a, b, c] = [listed('a'), listed('b'), listed('c')];
    rounds.end(b, complete);
    rounds.end(a, complete);
    expect(rounds.plan([a, c, b])).toEqual({ first: ['b', 'a'], others: ['c'], waiting: [] });
  });

  test.each([
    ['fails', failed],
    ['has one more page', unfinished],
    ['takes long', slow],
  ])('does not prefer a known peer any more that %s', (_, result) => {
    const rounds = createRounds();
    const [a, b] = [listed('a'), listed('b')];
    rounds.end(a, complete);
    rounds.end(b, complete);
    rounds.end(a, result);
    rounds.clock.now += 10;
    expect(rounds.plan([a, b])).toEqual({ first: ['b'], others: ['a'], waiting: [] });
  });

  test('continues with the peers that had no turn in the previous round', () => {
    const rounds = createRounds();
    const all = Array.from({ length: 10 }, (_, n) => listed(`p${n}`));
    const seen = new Set<string>();
    for (let round = 0; round < 4; round += 1) {
      // Each round has the time for three peers that never complete.
      const { others } = rounds.plan(all);
      for (const peerId of others.slice(0, 3)) {
        seen.add(peerId);
        rounds.end(all.find((target) => target.peerId === peerId) as RoundTarget, unfinished);
      }
    }
    expect(seen.size).toBe(10);
  });

  test('gives known peers that failed and new peers their turns alternately', () => {
    const rounds = createRounds();
    const known = ['a', 'b'].map((id) => listed(id));
    for (const target of known) rounds.end(target, complete);
    for (const target of known) rounds.end(target, failed);
    rounds.clock.now += 10;
    const fakes = Array.from({ length: 100 }, (_, n) => listed(`fake-${n}`));
    const { others } = rounds.plan([...fakes, ...known]);
    expect(others.indexOf('a')).toBe(0);
    expect(others.indexOf('b')).toBe(2);
  });

  test('gives a new device with a circuit an early turn among peers without one, and the other way round', () => {
    const rounds = createRounds(Math.random);
    const circuit = { addresses: ['/ip4/10.0.0.9/tcp/4001/p2p/R/p2p-circuit/p2p/a'] };
    const fakes = (change: object) => Array.from({ length: 100 }, (_, n) => listed(`fake-${n}`, change));
    expect(rounds.plan([...fakes({}), listed('a', circuit)]).others.indexOf('a')).toBe(0);
    expect(rounds.plan([...fakes(circuit), listed('a')]).others.indexOf('a')).toBe(1);
  });

  test('gives ever new peer ids no earlier turn than a new device that waits', () => {
    let next = 0;
    // A generator of Lehmer, so that the test is the same each time.
    let seed = 42;
    const random = (): number => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    const rounds = createRounds(random);
    let round = 0;
    for (let isReached = false; !isReached; round += 1) {
      const fakes = Array.from({ length: 100 }, () => listed(`fake-${next++}`));
      const { others } = rounds.plan([...fakes, listed('honest')]);
      isReached = others.slice(0, 40).includes('honest');
    }
    expect(round).toBeLessThan(10);
  });
});

describe('the pause after failures', () => {
  test('doubles from 10 seconds to 10 minutes', () => {
    const rounds = createRounds();
    const a = listed('a');
    const pauses: number[] = [];
    for (let failure = 0; failure < 9; failure += 1) {
      rounds.end(a, failed);
      pauses.push(rounds.pauseOf(a));
    }
    expect(pauses).toEqual([10, 20, 40, 80, 160, 320, 600, 600, 600]);
    rounds.end(a, complete);
    expect(rounds.pauseOf(a)).toBe(0);
  });

  test('is a minute at most after a refusal', () => {
    const rounds = createRounds();
    for (let failure = 0; failure < 9; failure += 1) rounds.end(listed('a'), { ...failed, isRefused: true });
    expect(rounds.pauseOf(listed('a'))).toBe(60);
  });

  test('begins for a history without an end after eight turns, also with failures in between', () => {
    const rounds = createRounds();
    const a = listed('a');
    for (let turn = 0; turn < 8; turn += 1) {
      rounds.end(a, unfinished);
      expect(rounds.pauseOf(a)).toBe(0);
    }
    rounds.end(a, unfinished);
    expect(rounds.pauseOf(a)).toBe(10);
    rounds.end(a, failed);
    rounds.end(a, unfinished);
    expect(rounds.pauseOf(a)).toBe(20);
  });

  test.each([
    ['other addresses', { addresses: ['/ip4/10.0.0.2/tcp/1'] }],
    ['another device id', { deviceId: 'renamed' }],
    ['a registration after more than a minute', { lastSeenUnixSeconds: NOW + 61 }],
  ])('ends with %s', (_, change) => {
    const rounds = createRounds();
    for (let failure = 0; failure < 5; failure += 1) rounds.end(listed('a'), failed);
    expect(rounds.plan([listed('a', change)]).waiting).toEqual([]);
  });

  test('does not end with the renewals of a registration, or another order of addresses', () => {
    const rounds = createRounds();
    const addresses = ['/ip4/10.0.0.1/tcp/1', '/ip4/10.0.0.1/tcp/2'];
    for (let failure = 0; failure < 5; failure += 1) rounds.end(listed('a', { addresses }), failed);
    for (let seconds = 30; seconds < 150; seconds += 30) {
      const renewed = listed('a', { addresses: addresses.toReversed(), lastSeenUnixSeconds: NOW + seconds });
      expect(rounds.plan([renewed]).waiting).toEqual(['a']);
      rounds.wait([renewed], [renewed]);
      rounds.clock.now = NOW + seconds;
    }
  });

  test.each([5, 60, 61, 90, 299])('does not end with renewals that are listed every %i s', (interval) => {
    const rounds = createRounds();
    for (let failure = 0; failure < 9; failure += 1) rounds.end(listed('a'), failed);
    for (let seconds = interval; seconds < 600; seconds += interval) {
      rounds.clock.now = NOW + seconds;
      // The first list has the record just after a renewal, and one has it just before the next renewal.
      const age = seconds === interval ? 29 : (seconds * 7) % 30;
      const renewed = listed('a', { lastSeenUnixSeconds: NOW + seconds - age });
      expect(rounds.plan([renewed]).waiting).toEqual(['a']);
      rounds.wait([renewed], [renewed]);
    }
  });

  test.each([60, 90, 299])(
    'ends when the device was off between its last registration and the list after %i s',
    (interval) => {
      const rounds = createRounds();
      for (let failure = 0; failure < 9; failure += 1) rounds.end(listed('a'), failed);
      // Its last registration is 50 s old, so that the tracker still lists it.
      rounds.clock.now = NOW + 50;
      rounds.wait([listed('a')], [listed('a')]);
      rounds.clock.now += interval;
      const back = listed('a', { lastSeenUnixSeconds: rounds.clock.now - 2 });
      expect(rounds.plan([back]).waiting).toEqual([]);
    },
  );

  test('ends when the device is listed again after no tracker had listed it', () => {
    const rounds = createRounds();
    for (let failure = 0; failure < 5; failure += 1) rounds.end(listed('a'), failed);
    rounds.wait([], undefined);
    expect(rounds.plan([listed('a')]).waiting).toEqual(['a']);
    rounds.wait([], [listed('b')]);
    expect(rounds.plan([listed('a')]).waiting).toEqual([]);
  });

  test('does not last for years after the clock was set back', () => {
    const rounds = createRounds();
    for (let failure = 0; failure < 9; failure += 1) rounds.end(listed('a'), failed);
    rounds.clock.now -= 100_000;
    expect(rounds.plan([listed('a')]).waiting).toEqual([]);
  });

  test('does not apply to a peer that the user names', () => {
    const rounds = createRounds();
    rounds.end(listed('a'), failed);
    const named = { peerId: 'a', addresses: [] };
    expect(rounds.plan([named])).toEqual({ first: [], others: ['a'], waiting: [] });
  });

  test('puts the peer last in the only round of a sync', () => {
    const rounds = createRounds();
    const [a, b] = [listed('a'), listed('b')];
    rounds.end(a, failed);
    expect(rounds.plan([a, b], true)).toEqual({ first: [], others: ['b', 'a'], waiting: [] });
  });
});

describe('the times of a turn', () => {
  test('are those of rr in a round with few peers', () => {
    expect(timesFor(16)).toEqual({
      dials: 4,
      times: { dialMs: 10_000, turnMs: 30_000, abortMs: 30_000 },
    });
  });

  test('are shorter when many peers are not known, so that all have a turn within two rounds', () => {
    const { dials, times } = timesFor(1_200);
    expect((1_200 / dials) * times.dialMs).toBeLessThanOrEqual(240_000);
  });

  test('are never shorter for a request with a cursor, because an aborted one counts for an hour', () => {
    const times = timesFor(1_200);
    expect(timesOf(false, true, times).abortMs).toBe(5_000);
    expect(timesOf(false, false, times).abortMs).toBe(30_000);
    expect(timesOf(true, true, times).abortMs).toBe(30_000);
  });
});
