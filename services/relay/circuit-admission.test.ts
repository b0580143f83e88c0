import { describe, expect, test } from '@jest/globals';
import { relayLimits } from '../../testing/relay-config.ts';
import { refused } from '../shared/result.ts';
import { type Circuit, createCircuitAdmission } from './circuit-admission.ts';
import type { RelayLimits } from './config.ts';

const ADMITTED = { ok: true };

/** The admission of a relay on which the given peers have reservations. */
function createAdmission(reserved: readonly string[], limits: Partial<RelayLimits> = {}) {
  const reservations = new Set(reserved);
  let clockMs = 0;
  const admission = createCircuitAdmission(
    relayLimits(limits),
    { isReserved: (peer) => reservations.has(peer) },
    () => clockMs,
  );
  const circuitsOf = new Map<string, Circuit>();
  const evicted: string[] = [];
  return {
    ...admission,
    evicted,
    open(source: string, target: string, address = '192.0.2.1') {
      const name = `${source}-${target}`;
      const circuit = { source, target, address, evict: () => void evicted.push(name) };
      circuitsOf.set(name, circuit);
      return admission.open(circuit);
    },
    close(source: string, target: string) {
      const circuit = circuitsOf.get(`${source}-${target}`);
      if (circuit !== undefined) admission.close(circuit);
    },
    release: (peer: string) => void reservations.delete(peer),
    advance: (seconds: number) => void (clockMs += seconds * 1000),
  };
}

describe('the admission of circuits', () => {
  test('refuses a circuit to a peer without a reservation', () => {
    const { open, release } = createAdmission(['b']);
    expect(open('a', 'c')).toEqual(refused('no_reservation'));
    expect(open('a', 'b')).toEqual(ADMITTED);
    release('b');
    expect(open('a', 'b')).toEqual(refused('no_reservation'));
  });

  test('limits circuits per source, per target and in total, until one is closed', () => {
    const { open, close, count } = createAdmission(['x', 'y'], {
      circuits: 4,
      circuitsPerPeer: 2,
      circuitsPerTarget: 2,
    });
    expect([open('a', 'x'), open('a', 'y')]).toEqual([ADMITTED, ADMITTED]);
    expect(open('a', 'y')).toEqual(refused('source'));
    expect(open('b', 'x')).toEqual(ADMITTED);
    expect(open('c', 'x')).toEqual(refused('target'));
    expect(open('b', 'y')).toEqual(ADMITTED);
    expect(open('c', 'y')).toEqual(refused('circuits'));
    close('a', 'x');
    expect(open('c', 'x')).toEqual(ADMITTED);
    expect(count()).toBe(4);
  });

  test('of a full relay evicts the newest of the address that has the most for an address that has none', () => {
    const { open, close, count, evicted } = createAdmission(['x', 'y', 'z'], {
      circuits: 4,
      connectionsPerAddress: 256,
    });
    for (const [source, target] of [
      ['a', 'x'],
      ['b', 'y'],
      ['c', 'z'],
    ] as const)
      expect(open(source, target, '192.0.2.1')).toEqual(ADMITTED);
    expect(open('d', 'x', '192.0.2.2')).toEqual(ADMITTED);
    expect(open('e', 'x', '192.0.2.1')).toEqual(refused('circuits'));
    expect(open('e', 'x', '192.0.2.2')).toEqual(refused('circuits'));
    expect(open('e', 'x', '192.0.2.3')).toEqual(ADMITTED);
    expect(evicted).toEqual(['c-z']);
    // The evicted circuit ends later, which changes no count.
    close('c', 'z');
    expect(count()).toBe(4);
    expect(open('f', 'x', '192.0.2.4')).toEqual(ADMITTED);
    expect(evicted).toEqual(['c-z', 'b-y']);
    // Every address has one now.
    expect(open('g', 'x', '192.0.2.5')).toEqual(refused('circuits'));
    expect(evicted).toHaveLength(2);
  });

  test('evicts nothing for a circuit that another limit refuses, and nothing if addresses are not real', () => {
    const limits = { circuits: 3, circuitsPerTarget: 2, connectionsPerAddress: 256 };
    const real = createAdmission(['x', 'y'], limits);
    for (const source of ['a', 'b']) expect(real.open(source, 'x', '192.0.2.1')).toEqual(ADMITTED);
    expect(real.open('c', 'y', '192.0.2.1')).toEqual(ADMITTED);
    expect(real.open('d', 'x', '192.0.2.2')).toEqual(refused('target'));
    expect(real.open('d', 'z', '192.0.2.2')).toEqual(refused('no_reservation'));
    expect(real.evicted).toEqual([]);
    const proxied = createAdmission(['x', 'y'], { circuits: 1 });
    expect(proxied.open('a', 'x', '192.0.2.1')).toEqual(ADMITTED);
    expect(proxied.open('b', 'y', '192.0.2.2')).toEqual(refused('circuits'));
  });

  test('limits the requests of one peer per minute', () => {
    const { open, advance } = createAdmission(['x'], { circuitsPerMinute: 2 });
    expect([open('a', 'x'), open('a', 'x')]).toEqual([ADMITTED, ADMITTED]);
    expect(open('a', 'x')).toEqual(refused('rate'));
    expect(open('b', 'x')).toEqual(ADMITTED);
    advance(30);
    expect(open('a', 'x')).toEqual(ADMITTED);
    expect(open('a', 'x')).toEqual(refused('rate'));
  });

  test('uses one rate limiter for each circuit, and a common one for all circuits of a source', () => {
    const { rateLimiters } = createAdmission([], { circuitBytesPerSecond: 100, peerBytesPerSecond: 200 });
    const [common, own] = rateLimiters('a');
    expect([common?.spend(300), own?.spend(300)]).toEqual([500, 2000]);
    const [sameCommon, otherOwn] = rateLimiters('a');
    expect([sameCommon?.spend(0), otherOwn?.spend(0)]).toEqual([500, 0]);
    expect(rateLimiters('b').map((limiter) => limiter.spend(0))).toEqual([0, 0]);
  });

  test('has no rate limiters by default', () => {
    expect(createAdmission([]).rateLimiters('a')).toEqual([]);
  });

  test('refuses every circuit during a drain and still counts running ones', () => {
    const { open, drain, count } = createAdmission(['b']);
    open('a', 'b');
    drain();
    expect(open('a', 'b')).toEqual(refused('draining'));
    expect(count()).toBe(1);
  });
});
