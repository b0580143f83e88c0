import { describe, expect, test } from '@jest/globals';
import { createRelayState } from './relay-state.ts';

const RELAY = '/ip4/10.0.0.9/tcp/4001/p2p/12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x';

function createTestState() {
  const clock = { ms: 1_000 };
  return {
    clock,
    state: createRelayState(
      { peerId: '12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x', addresses: [RELAY] },
      () => clock.ms,
      () => 0.5,
    ),
  };
}

describe('the state of a relay', () => {
  test('is due at once before the first request', () => {
    const { state } = createTestState();
    expect(state).toMatchObject({ isHeld: false, dueMs: 0, reason: '' });
  });

  test.each([
    ['half of its lifetime', 60_000, 30_000],
    ['fifteen seconds when it ends soon by the clock of this machine', 500, 15_000],
    ['ten minutes when its lifetime is longer than twenty', 86_400_000, 600_000],
    ['ten minutes when it has ended by the clock of this machine', -5_000, 600_000],
  ])('renews a reservation after %s', (_, lifetimeMs, renewMs) => {
    const { clock, state } = createTestState();
    state.granted(lifetimeMs);
    expect(state.isHeld).toBe(true);
    expect(state.dueMs - clock.ms).toBe(renewMs);
  });

  test('doubles the pause with each failure up to eight seconds, with jitter', () => {
    const { clock, state } = createTestState();
    const pauses = Array.from({ length: 7 }, () => state.failed('refused'));
    expect(pauses).toEqual([375, 750, 1_500, 3_000, 6_000, 6_000, 6_000]);
    expect(state.dueMs - clock.ms).toBe(6_000);
    expect(state.reason).toBe('refused');
  });

  test('counts a reservation that is lost within ten seconds as a failure', () => {
    const { clock, state } = createTestState();
    const pauses = Array.from({ length: 3 }, () => {
      state.granted(60_000);
      clock.ms += 9_999;
      return state.lost();
    });
    expect(pauses).toEqual([375, 750, 1_500]);
    expect(state.isHeld).toBe(false);
  });

  test('starts again with the shortest pause after a reservation was held for ten seconds', () => {
    const { clock, state } = createTestState();
    for (let failures = 0; failures < 5; failures += 1) state.failed('refused');
    state.granted(60_000);
    clock.ms += 10_000;
    expect(state.lost()).toBe(375);
  });

  test('measures how long a reservation is held from its first grant and not from its renewal', () => {
    const { clock, state } = createTestState();
    state.failed('refused');
    state.granted(10_000);
    clock.ms += 5_000;
    state.granted(10_000);
    clock.ms += 5_000;
    expect(state.lost()).toBe(375);
  });
});
