import { describe, expect, test } from '@jest/globals';
import { relayLimits } from '../../testing/relay-config.ts';
import { refused } from '../shared/result.ts';
import type { RelayLimits } from './config.ts';
import { createReservationStore, type Holder } from './reservation-store.ts';

const NEW = { ok: true, grant: { kind: 'new' } };
const REFRESH = { ok: true, grant: { kind: 'refresh' } };

/** A connection, of which the store uses only the identity. */
function connection(): Holder {
  return {} as Holder;
}

function createStore(limits: Partial<RelayLimits> = {}) {
  let clockMs = 0;
  const store = createReservationStore(relayLimits(limits), () => clockMs);
  const holders = new Map<string, Holder>();
  /** The same connection for the same peer. */
  const holderFor = (peer: string): Holder => {
    const holder = holders.get(peer) ?? connection();
    holders.set(peer, holder);
    return holder;
  };
  return {
    ...store,
    holderFor,
    reserve: (peer: string, address = '192.0.2.1') => store.reserve(peer, holderFor(peer), address),
    reserveOn: (peer: string, holder: Holder, address = '192.0.2.1') => store.reserve(peer, holder, address),
    release: (peer: string) => store.release(peer, holderFor(peer)),
    releaseOn: store.release,
    advance: (seconds: number) => void (clockMs += seconds * 1000),
  };
}

describe('the reservation store', () => {
  test('refuses a reservation when the relay is full, but never a refresh', () => {
    const { reserve, count } = createStore({ reservations: 2 });
    expect([reserve('a'), reserve('b')]).toEqual([NEW, NEW]);
    expect(reserve('c')).toEqual(refused('reservations'));
    expect(reserve('a')).toEqual(REFRESH);
    expect(count()).toBe(2);
  });

  test('admits another peer as soon as a reservation is released', () => {
    const { reserve, release, isReserved } = createStore({ reservations: 1 });
    reserve('a');
    release('a');
    expect(isReserved('a')).toBe(false);
    expect(reserve('b')).toEqual(NEW);
  });

  test('keeps a reservation for as long as its connection, also without a refresh', () => {
    const { reserve, isReserved, count, advance } = createStore();
    reserve('a');
    advance(30 * 24 * 3600);
    expect([isReserved('a'), count()]).toEqual([true, 1]);
  });

  test('moves a reservation to the connection that reserves, also when the relay is full', () => {
    const { reserve, reserveOn, releaseOn, holderFor, holderOf, isHolder, count, advance } = createStore({
      reservations: 1,
      reservationsPerAddress: 1,
    });
    reserve('a');
    advance(5);
    const [previous, next] = [holderFor('a'), connection()];
    expect(reserveOn('a', next)).toEqual({
      ok: true,
      grant: { kind: 'moved', previous, previousAgeMs: 5_000 },
    });
    expect([holderOf('a') === next, isHolder(next), isHolder(previous), count()]).toEqual([
      true,
      true,
      false,
      1,
    ]);
    // The previous connection closes later, which releases nothing.
    expect(releaseOn('a', previous)).toBeUndefined();
    advance(2);
    expect(releaseOn('a', next)).toBe(2_000);
    expect(count()).toBe(0);
  });

  test('limits the new reservations of one peer per minute, and no refreshes', () => {
    const { reserve, reserveOn, advance } = createStore({ reservationsPerMinute: 2 });
    expect(reserve('a')).toEqual(NEW);
    expect(reserveOn('a', connection()).ok).toBe(true);
    const last = connection();
    expect(reserveOn('a', last)).toEqual(refused('rate'));
    expect(reserve('b')).toEqual(NEW);
    for (let refresh = 0; refresh < 10; refresh += 1) expect(reserve('b')).toEqual(REFRESH);
    advance(30);
    expect(reserveOn('a', last).ok).toBe(true);
    expect(reserveOn('a', last)).toEqual(REFRESH);
    expect(reserveOn('a', connection())).toEqual(refused('rate'));
  });

  test('limits the reservations of one address, and counts a refresh and a move once', () => {
    const { reserve, reserveOn, releaseOn } = createStore({ reservationsPerAddress: 1 });
    expect(reserve('a', '192.0.2.1')).toEqual(NEW);
    expect(reserve('a', '192.0.2.1')).toEqual(REFRESH);
    expect(reserve('b', '192.0.2.1')).toEqual(refused('address'));
    expect(reserve('b', '192.0.2.2')).toEqual(NEW);
    const next = connection();
    expect(reserveOn('a', next, '192.0.2.3').ok).toBe(true);
    expect(reserve('c', '192.0.2.1')).toEqual(NEW);
    releaseOn('a', next);
    expect(reserve('d', '192.0.2.3')).toEqual(NEW);
  });

  test('when full, gives the newest reservation of the address that holds the most to an address that holds none', () => {
    const { reserve, isReserved, holderFor, count, advance } = createStore({
      reservations: 4,
      reservationsPerAddress: 128,
    });
    for (const peer of ['a', 'b', 'c']) {
      expect(reserve(peer, '192.0.2.1')).toEqual(NEW);
      advance(1);
    }
    expect(reserve('d', '192.0.2.2')).toEqual(NEW);
    expect(reserve('e', '192.0.2.1')).toEqual(refused('reservations'));
    expect(reserve('e', '192.0.2.2')).toEqual(refused('reservations'));
    expect(reserve('e', '192.0.2.3')).toEqual({
      ok: true,
      grant: { kind: 'new', replaced: { holder: holderFor('c'), reason: 'evicted' } },
    });
    expect(reserve('c', '192.0.2.1')).toEqual(refused('reservations'));
    expect(reserve('f', '192.0.2.4').ok).toBe(true);
    expect(['a', 'b', 'c', 'd', 'e', 'f'].filter(isReserved)).toEqual(['a', 'd', 'e', 'f']);
    // Every address holds one now.
    expect(reserve('g', '192.0.2.5')).toEqual(refused('reservations'));
    expect(count()).toBe(4);
  });

  test('counts a reservation as old when its peer reserves again on another connection from the same address', () => {
    const { reserve, reserveOn, isReserved, advance } = createStore({
      reservations: 2,
      reservationsPerAddress: 128,
    });
    reserve('a');
    advance(1);
    reserve('b');
    advance(1);
    expect(reserveOn('a', connection()).ok).toBe(true);
    expect(reserve('c', '192.0.2.2').ok).toBe(true);
    expect(['a', 'b', 'c'].filter(isReserved)).toEqual(['a', 'c']);
  });

  test('evicts nothing for a peer that has its rate, and nothing if addresses are not real', () => {
    const real = createStore({ reservations: 2, reservationsPerAddress: 128, reservationsPerMinute: 1 });
    real.reserve('x', '192.0.2.2');
    real.release('x');
    expect([real.reserve('a'), real.reserve('b')]).toEqual([NEW, NEW]);
    expect(real.reserve('x', '192.0.2.2')).toEqual(refused('rate'));
    expect(real.count()).toBe(2);
    const proxied = createStore({ reservations: 2 });
    expect([proxied.reserve('a'), proxied.reserve('b')]).toEqual([NEW, NEW]);
    expect(proxied.reserve('c', '192.0.2.2')).toEqual(refused('reservations'));
  });

  test('refuses new reservations during a drain, but no refresh', () => {
    const { reserve, reserveOn, drain, isReserved } = createStore();
    reserve('b');
    drain();
    expect(reserve('a')).toEqual(refused('draining'));
    expect(reserveOn('b', connection())).toEqual(refused('draining'));
    expect(reserve('b')).toEqual(REFRESH);
    expect(isReserved('b')).toBe(true);
  });
});
