import { describe, expect, test } from '@jest/globals';
import { DIAL_STRATEGY_NAMES, type DialStrategy, isLoopback, peerIdOf, toCandidates } from './addresses.ts';

const PEER = '12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x';
const OTHER = '12D3KooWRfdEznKxzJbPSkejpr8aRmRX6e8NGW1XWT5irbxBAzuV';
const RELAY = `/ip4/10.0.0.9/tcp/4001/p2p/${OTHER}`;
const CIRCUIT = `${RELAY}/p2p-circuit/p2p/${PEER}`;
const OTHER_RELAY = `/dns4/relay.lan/tcp/4001/p2p/${OTHER}`;
const OTHER_CIRCUIT = `${OTHER_RELAY}/p2p-circuit/p2p/${PEER}`;
const DIRECT = `/ip4/10.0.0.5/tcp/8845/p2p/${PEER}`;

const order = (addresses: string[], strategy: DialStrategy, relays = [RELAY]): string[] =>
  toCandidates(PEER, addresses, relays, strategy).map(({ address }) => address);

describe('toCandidates', () => {
  const EXPECTED: Record<DialStrategy, string[]> = {
    'relay-first': [CIRCUIT, OTHER_CIRCUIT, DIRECT],
    'relay-only': [CIRCUIT, OTHER_CIRCUIT],
    'direct-first': [DIRECT, CIRCUIT, OTHER_CIRCUIT],
  };

  test.each(DIAL_STRATEGY_NAMES)('orders the addresses by the strategy %s', (strategy) => {
    expect(order([DIRECT, OTHER_CIRCUIT], strategy)).toEqual(EXPECTED[strategy]);
  });

  test.each([
    ['a duplicate', [CIRCUIT, CIRCUIT]],
    ['text that is not a multiaddr', ['http://10.0.0.5']],
    ['addresses of another peer', [`/ip4/10.0.0.5/tcp/1/p2p/${OTHER}`, `${RELAY}/p2p-circuit/p2p/${OTHER}`]],
    ['a circuit without the peer id of a relay', [`/ip4/10.0.0.5/tcp/1/p2p-circuit/p2p/${PEER}`]],
  ])('omits %s', (_, addresses) => expect(order(addresses, 'relay-first')).toEqual([CIRCUIT]));

  test('appends a missing peer id', () => {
    expect(order(['/ip4/10.0.0.5/tcp/8845', `${OTHER_RELAY}/p2p-circuit`], 'direct-first', [])).toEqual([
      DIRECT,
      OTHER_CIRCUIT,
    ]);
  });

  test('returns at most sixteen addresses', () => {
    const many = Array.from({ length: 40 }, (_, port) => `/ip4/10.0.0.5/tcp/${port + 1}`);
    expect(order(many, 'relay-first')).toHaveLength(16);
  });
});

test.each([
  ['/ip4/127.0.0.1/tcp/1', true],
  ['/ip6/::1/tcp/1', true],
  ['/dns4/localhost/tcp/1', true],
  ['/ip4/192.168.0.1/tcp/1', false],
  ['/ip6/fe80::1/tcp/1', false],
  ['/ip6/2001:db8::1/tcp/1', false],
])('isLoopback of %s is %s', (address, expected) => expect(isLoopback(address)).toBe(expected));

test('peerIdOf returns the peer id at the end of a multiaddr', () => {
  expect([peerIdOf(CIRCUIT), peerIdOf(RELAY), peerIdOf('/ip4/1.2.3.4/tcp/1'), peerIdOf('nonsense')]).toEqual([
    PEER,
    OTHER,
    undefined,
    undefined,
  ]);
});
