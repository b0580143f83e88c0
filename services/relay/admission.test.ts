import { describe, expect, test } from '@jest/globals';
import { createLedger, type Decision } from './admission.ts';

const ALLOWED: Decision = { allowed: true };
const refused = (reason: string): unknown => ({ allowed: false, reason });

function ledger(overrides = {}) {
  let milliseconds = 0;
  const limits = {
    maxReservations: 2,
    maxReservationsPerAddress: undefined,
    maxCircuits: 3,
    maxCircuitsPerPeer: 2,
    reservationsPerMinute: 60,
    circuitsPerMinute: 60,
    bytesPerSecondPerPeer: undefined,
    reservationSeconds: 60,
  };
  const created = createLedger({ ...limits, ...overrides }, () => milliseconds);
  return {
    ...created,
    reserve: (peer: string, address = '192.0.2.1') => created.reserve(peer, address),
    pass: (seconds: number) => void (milliseconds += seconds * 1000),
  };
}

describe('reservations', () => {
  test('are refused when the relay is full, but a refresh never is', () => {
    const { reserve, reservations } = ledger();
    expect([reserve('a'), reserve('b')]).toEqual([ALLOWED, ALLOWED]);
    expect(reserve('c')).toEqual(refused('reservations'));
    expect(reserve('a')).toEqual(ALLOWED);
    expect(reservations()).toBe(2);
  });

  test('make room at once when their peer is gone', () => {
    const { reserve, release, isReserved } = ledger({ maxReservations: 1 });
    reserve('a');
    release('a');
    expect(isReserved('a')).toBe(false);
    expect(reserve('b')).toEqual(ALLOWED);
  });

  test('expire unless they are refreshed', () => {
    const { reserve, isReserved, reservations, pass } = ledger();
    reserve('a');
    reserve('b');
    pass(59);
    reserve('a');
    pass(1);
    expect([isReserved('a'), isReserved('b')]).toEqual([true, false]);
    expect(reservations()).toBe(1);
    expect(reserve('c')).toEqual(ALLOWED);
    pass(60);
    expect(reservations()).toBe(0);
  });
});

describe('circuits', () => {
  test('need a reservation of their target', () => {
    const { openCircuit, reserve, pass } = ledger();
    expect(openCircuit('a', 'b')).toEqual(refused('no_reservation'));
    reserve('b');
    expect(openCircuit('a', 'b')).toEqual(ALLOWED);
    pass(61);
    expect(openCircuit('a', 'b')).toEqual(refused('no_reservation'));
  });

  test('are bounded per source, per target and in all, and closing one makes room', () => {
    const { openCircuit, closeCircuit, reserve, circuits } = ledger({ maxCircuits: 4 });
    reserve('x');
    reserve('y');
    expect([openCircuit('a', 'x'), openCircuit('a', 'y')]).toEqual([ALLOWED, ALLOWED]);
    expect(openCircuit('a', 'y')).toEqual(refused('source'));
    expect(openCircuit('b', 'x')).toEqual(ALLOWED);
    expect(openCircuit('c', 'x')).toEqual(refused('target'));
    expect(openCircuit('b', 'y')).toEqual(ALLOWED);
    expect(openCircuit('c', 'y')).toEqual(refused('circuits'));
    closeCircuit('a', 'x');
    expect(openCircuit('c', 'x')).toEqual(ALLOWED);
    expect(circuits()).toBe(4);
  });
});

describe('what one peer or address may ask for', () => {
  test('is bounded per minute, and comes back with time', () => {
    const { reserve, openCircuit, pass } = ledger({ reservationsPerMinute: 2, circuitsPerMinute: 2 });
    expect([reserve('a'), reserve('a')]).toEqual([ALLOWED, ALLOWED]);
    expect(reserve('a')).toEqual(refused('rate'));
    expect(reserve('b')).toEqual(ALLOWED);
    expect([openCircuit('c', 'a'), openCircuit('c', 'a')]).toEqual([ALLOWED, ALLOWED]);
    expect(openCircuit('c', 'a')).toEqual(refused('rate'));
    expect(openCircuit('d', 'b')).toEqual(ALLOWED);
    pass(30);
    expect(reserve('a')).toEqual(ALLOWED);
    expect(reserve('a')).toEqual(refused('rate'));
  });

  test('is bounded per address where addresses are real, and refreshing takes no second place', () => {
    const { reserve, release } = ledger({ maxReservations: 9, maxReservationsPerAddress: 1 });
    expect(reserve('a', '192.0.2.1')).toEqual(ALLOWED);
    expect(reserve('a', '192.0.2.1')).toEqual(ALLOWED);
    expect(reserve('b', '192.0.2.1')).toEqual(refused('address'));
    expect(reserve('b', '192.0.2.2')).toEqual(ALLOWED);
    release('a');
    expect(reserve('c', '192.0.2.1')).toEqual(ALLOWED);
  });
});

test('a ledger that drains refuses what is new and keeps what is there', () => {
  const { reserve, openCircuit, drain, isReserved, circuits } = ledger();
  reserve('b');
  openCircuit('a', 'b');
  drain();
  expect(reserve('a')).toEqual(refused('draining'));
  expect(reserve('b')).toEqual(refused('draining'));
  expect(openCircuit('a', 'b')).toEqual(refused('draining'));
  expect([isReserved('b'), circuits()]).toEqual([true, 1]);
});
