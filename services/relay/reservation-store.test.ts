import { describe, expect, test } from '@jest/globals';
import { relayLimits } from '../../testing/relay-config.ts';
import { refused } from '../shared/result.ts';
import type { RelayLimits } from './config.ts';
import { createReservationStore, RESERVATION_SECONDS } from './reservation-store.ts';

const RESERVED = { ok: true };

function createStore(limits: Partial<RelayLimits> = {}) {
  let clockMs = 0;
  const store = createReservationStore(relayLimits(limits), () => clockMs);
  return {
    ...store,
    reserve: (peer: string, address = '192.0.2.1') => store.reserve(peer, address),
    advance: (seconds: number) => void (clockMs += seconds * 1000),
  };
}

describe('the reservation store', () => {
  test('refuses a reservation when the relay is full, but never a refresh', () => {
    const { reserve, count } = createStore({ reservations: 2 });
    expect([reserve('a'), reserve('b')]).toEqual([RESERVED, RESERVED]);
    expect(reserve('c')).toEqual(refused('reservations'));
    expect(reserve('a')).toEqual(RESERVED);
    expect(count()).toBe(2);
  });

  test('admits another peer as soon as a reservation is released', () => {
    const { reserve, release, isReserved } = createStore({ reservations: 1 });
    reserve('a');
    release('a');
    expect(isReserved('a')).toBe(false);
    expect(reserve('b')).toEqual(RESERVED);
  });

  test('removes reservations that are not refreshed in time', () => {
    const { reserve, isReserved, count, advance } = createStore({ reservations: 2 });
    reserve('a');
    reserve('b');
    advance(RESERVATION_SECONDS - 1);
    reserve('a');
    advance(1);
    expect([isReserved('a'), isReserved('b')]).toEqual([true, false]);
    expect(count()).toBe(1);
    expect(reserve('c')).toEqual(RESERVED);
    advance(RESERVATION_SECONDS);
    expect(count()).toBe(0);
  });

  test('limits the requests of one peer per minute', () => {
    const { reserve, advance } = createStore({ reservationsPerMinute: 2 });
    expect([reserve('a'), reserve('a')]).toEqual([RESERVED, RESERVED]);
    expect(reserve('a')).toEqual(refused('rate'));
    expect(reserve('b')).toEqual(RESERVED);
    advance(30);
    expect(reserve('a')).toEqual(RESERVED);
    expect(reserve('a')).toEqual(refused('rate'));
  });

  test('limits the reservations of one address, and counts a refresh once', () => {
    const { reserve, release } = createStore({ reservationsPerAddress: 1 });
    expect(reserve('a', '192.0.2.1')).toEqual(RESERVED);
    expect(reserve('a', '192.0.2.1')).toEqual(RESERVED);
    expect(reserve('b', '192.0.2.1')).toEqual(refused('address'));
    expect(reserve('b', '192.0.2.2')).toEqual(RESERVED);
    release('a');
    expect(reserve('c', '192.0.2.1')).toEqual(RESERVED);
  });

  test('refuses every request during a drain and keeps its reservations', () => {
    const { reserve, drain, isReserved } = createStore();
    reserve('b');
    drain();
    expect(reserve('a')).toEqual(refused('draining'));
    expect(reserve('b')).toEqual(refused('draining'));
    expect(isReserved('b')).toBe(true);
  });
});
