import { describe, expect, test } from '@jest/globals';
import { isLoopback, peerIdOf, toCandidates } from './addresses.ts';
import { explainFailure, formatAttempts } from './dial-report.ts';

const PEER = '12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x';
const OTHER = '12D3KooWRfdEznKxzJbPSkejpr8aRmRX6e8NGW1XWT5irbxBAzuV';
const RELAY = `/ip4/10.0.0.9/tcp/4001/p2p/${OTHER}`;
const CIRCUIT = `${RELAY}/p2p-circuit/p2p/${PEER}`;
const TOLD_RELAY = `/dns4/relay.lan/tcp/4001/p2p/${OTHER}`;
const TOLD_CIRCUIT = `${TOLD_RELAY}/p2p-circuit/p2p/${PEER}`;
const DIRECT = `/ip4/10.0.0.5/tcp/8845/p2p/${PEER}`;

const order = (
  addresses: string[],
  strategy: 'relay-first' | 'relay-only' | 'direct-first',
  relays = [RELAY],
) => toCandidates(PEER, addresses, relays, strategy).map(({ address }) => address);

describe('the addresses that are tried', () => {
  test.each([
    ['relay-first', [CIRCUIT, TOLD_CIRCUIT, DIRECT]],
    ['relay-only', [CIRCUIT, TOLD_CIRCUIT]],
    ['direct-first', [DIRECT, CIRCUIT, TOLD_CIRCUIT]],
  ] as const)('stand in the order of %s', (strategy, expected) => {
    expect(order([DIRECT, TOLD_CIRCUIT], strategy)).toEqual(expected);
  });

  test.each([
    ['one twice', [CIRCUIT, CIRCUIT], [CIRCUIT]],
    ['no multiaddr', ['http://10.0.0.5'], [CIRCUIT]],
    [
      'one that leads to another peer',
      [`/ip4/10.0.0.5/tcp/1/p2p/${OTHER}`, `${RELAY}/p2p-circuit/p2p/${OTHER}`],
      [CIRCUIT],
    ],
    ['a circuit through nobody', [`/ip4/10.0.0.5/tcp/1/p2p-circuit/p2p/${PEER}`], [CIRCUIT]],
  ])('leave out %s', (_, addresses, expected) => expect(order(addresses, 'relay-first')).toEqual(expected));

  test('get the peer id where it is missing', () => {
    expect(order(['/ip4/10.0.0.5/tcp/8845', `${TOLD_RELAY}/p2p-circuit`], 'direct-first', [])).toEqual([
      DIRECT,
      TOLD_CIRCUIT,
    ]);
  });

  test('are sixteen at most', () => {
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
])('%s is of this machine alone: %s', (address, expected) => expect(isLoopback(address)).toBe(expected));

test('the peer id of an address is its last part', () => {
  expect([peerIdOf(CIRCUIT), peerIdOf(RELAY), peerIdOf('/ip4/1.2.3.4/tcp/1'), peerIdOf('nonsense')]).toEqual([
    PEER,
    OTHER,
    undefined,
    undefined,
  ]);
});

const explain = (message: string, timeoutMs?: number) =>
  explainFailure(DIRECT, 'circuit', new Error(message), timeoutMs);

describe('a failed attempt', () => {
  test.each([
    ['failed to connect via relay with status NO_RESERVATION', 'reservation', /holds no reservation/],
    ['failed to connect via relay with status RESOURCE_LIMIT_EXCEEDED', 'circuit', /one of its limits/],
    ['failed to connect via relay with status PERMISSION_DENIED', 'circuit', /does not allow/],
    ['failed to connect via relay with status CONNECTION_FAILED', 'circuit', /could not reach the peer/],
    ['the other side does not have the same swarm key', 'swarm key', /same swarm key/],
    ['connect ECONNREFUSED', 'circuit', /ECONNREFUSED/],
  ])('because of «%s» is explained', (message, stage, reason) => {
    expect(explain(message)).toEqual({ address: DIRECT, stage, reason: expect.stringMatching(reason) });
  });

  test('that ran out of time says for how long it waited', () => {
    expect(explain('The operation was aborted', 5000).reason).toBe('no answer within 5000 ms');
  });

  test('is one line, however often it was made, without the peer that it stands under', () => {
    const attempt = explain('connect ECONNREFUSED');
    expect(formatAttempts([attempt, attempt])).toEqual([
      '/ip4/10.0.0.5/tcp/8845: circuit: connect ECONNREFUSED (2 times)',
    ]);
  });
});
