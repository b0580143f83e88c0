import { describe, expect, test } from '@jest/globals';
import {
  DIAL_STRATEGY_NAMES,
  type DialStrategy,
  isLoopback,
  orderCandidates,
  peerIdOf,
  toCandidates,
  withoutLoopback,
} from './addresses.ts';

const PEER = '12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x';
const OTHER = '12D3KooWRfdEznKxzJbPSkejpr8aRmRX6e8NGW1XWT5irbxBAzuV';
const RELAY = `/ip4/10.0.0.9/tcp/4001/p2p/${OTHER}`;
const CIRCUIT = `${RELAY}/p2p-circuit/p2p/${PEER}`;
const OTHER_RELAY = `/dns4/relay.lan/tcp/4001/p2p/${OTHER}`;
const OTHER_CIRCUIT = `${OTHER_RELAY}/p2p-circuit/p2p/${PEER}`;
const DIRECT = `/ip4/10.0.0.5/tcp/8845/p2p/${PEER}`;

const order = (addresses: string[], strategy: DialStrategy, relays = [RELAY]): string[] =>
  orderCandidates(toCandidates({ peerId: PEER, addresses }, relays), strategy)
    .flat()
    .map(({ address }) => address);

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

  test('returns at most eight circuits and sixteen direct addresses', () => {
    const direct = Array.from({ length: 40 }, (_, port) => `/ip4/10.0.0.5/tcp/${port + 1}`);
    const circuits = direct.map((address) => `${address}/p2p/${OTHER}/p2p-circuit/p2p/${PEER}`);
    const all = order([...circuits, ...direct], 'relay-first');
    expect(all.filter((address) => address.includes('/p2p-circuit'))).toHaveLength(8);
    expect(all).toHaveLength(24);
  });

  test('starts with the relay of this device that the peer lists, although through another address', () => {
    const third = `/ip4/10.0.0.7/tcp/4001/p2p/${PEER}`;
    expect(order([OTHER_CIRCUIT], 'relay-first', [third, RELAY])).toEqual([
      CIRCUIT,
      `${third}/p2p-circuit/p2p/${PEER}`,
      OTHER_CIRCUIT,
    ]);
  });

  test.each([
    '/ip4/0.0.0.0/tcp/8845',
    '/ip6/::/tcp/8845',
    '/ip4/224.0.0.1/tcp/8845',
    '/ip6/ff02::1/tcp/8845',
    '/ip6/fe80::1/tcp/8845',
    '/ip4/10.0.0.5/tcp/0',
    '/ip4/10.0.0.5/udp/8845/quic-v1',
    '/ip4/10.0.0.5/tcp/8845/ws',
    '/dnsaddr/rustory.lan',
    `/p2p/${PEER}`,
  ])('omits the direct address %s, to which no connection is possible', (address) =>
    expect(order([address], 'direct-first', [])).toEqual([]),
  );

  describe('of a peer that a tracker lists', () => {
    const listed = (...addresses: string[]): string[] => {
      const { circuits, direct } = toCandidates({ peerId: PEER, addresses, isListed: true }, [RELAY]);
      return [...circuits, ...direct].map(({ address }) => address);
    };

    test.each([
      ['no address', [], []],
      ['a direct address', [DIRECT], [DIRECT]],
      ['a direct address with a name', ['/dns4/home.lan/tcp/1', '/dns/home.lan/tcp/1', DIRECT], [DIRECT]],
      ['a circuit of another peer', [`${RELAY}/p2p-circuit/p2p/${OTHER}`], []],
      ['a circuit', [OTHER_CIRCUIT, DIRECT], [CIRCUIT, OTHER_CIRCUIT, DIRECT]],
      ['a circuit through a relay without a host', [`/p2p/${OTHER}/p2p-circuit/p2p/${PEER}`], [CIRCUIT]],
    ])('with %s, uses circuits only if it lists one', (_, addresses, expected) =>
      expect(listed(...addresses)).toEqual(expected),
    );
  });
});

test.each([
  ['/ip4/127.0.0.1/tcp/1', undefined],
  [`/ip4/127.0.0.1/tcp/1/p2p/${PEER}`, undefined],
  [DIRECT, DIRECT],
  [CIRCUIT, CIRCUIT],
  [`/ip4/127.0.0.1/tcp/4001/p2p/${OTHER}/p2p-circuit/p2p/${PEER}`, `/p2p/${OTHER}/p2p-circuit/p2p/${PEER}`],
  ['/ip4/127.0.0.1/tcp/4001/p2p-circuit', undefined],
  ['nonsense', 'nonsense'],
])('withoutLoopback of %s is %s', (address, expected) => expect(withoutLoopback(address)).toBe(expected));

test.each([
  ['/ip4/127.0.0.1/tcp/1', true],
  ['/ip6/::1/tcp/1', true],
  ['/ip6/::ffff:127.0.0.1/tcp/1', true],
  ['/ip4/127.8.8.8/tcp/1', true],
  ['/dns4/localhost/tcp/1', true],
  ['/dns/localhost/tcp/1', true],
  ['/dns4/localhost.lan/tcp/1', false],
  ['/ip6/::/tcp/1', false],
  ['/ip6/1::/tcp/1', false],
  ['nonsense', false],
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
